// A view of the page as a picture: playground.picture(box) resolves to an <svg> element of shapes and text, in the
// view's theme and with its fonts, so that any program that reads SVG shows the same.
// What is not part of a picture (boxes to type in, buttons) is marked `data-unsaved`.
window.playground.picture = (() => {
  const { shape } = playground;
  const SPACE = 'http://www.w3.org/2000/svg';
  const MARGIN = 14;
  // The properties that a style sheet may set on a drawing's shapes and text.
  const DRAWN = [
    'fill', 'fill-opacity', 'stroke', 'stroke-width', 'stroke-opacity', 'stroke-dasharray', 'stroke-linecap',
    'stroke-linejoin', 'opacity', 'visibility', 'display', 'font-family', 'font-size', 'font-weight', 'font-style',
    'text-anchor', 'dominant-baseline', 'paint-order', 'white-space', 'text-decoration-line', 'font-variant-numeric',
    'vector-effect',
  ];
  const canvas = document.createElement('canvas').getContext('2d');
  const fonts = new Map(); // by address, as data

  const clear = (colour) => colour === 'transparent' || /^rgba\(.*, 0\)$/.test(colour);
  const near = (value) => Math.round(value * 100) / 100;

  function paper(box) {
    for (let at = box; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!clear(colour)) return colour;
    }
    return '#fff';
  }

  // Text broken into lines as on the page, each held to its width there.
  function words(node, style, at, into) {
    const range = document.createRange();
    const lines = [];
    let index = 0;
    for (const letter of node.data) {
      range.setStart(node, index);
      range.setEnd(node, index += letter.length);
      const [box] = range.getClientRects();
      if (!box || (!box.width && !letter.trim())) continue; // a space that a line ends with
      const line = lines.at(-1);
      if (line && Math.abs(line.top - box.top) < 2) {
        line.text += letter;
        [line.left, line.right] = [Math.min(line.left, box.left), Math.max(line.right, box.right)];
      } else lines.push({ top: box.top, height: box.height, left: box.left, right: box.right, text: letter });
    }
    for (const line of lines) draw(line, style, at, into);
  }
  function draw(line, style, at, into) {
    const text = line.text.replace(/[\n\t]/g, ' ');
    if (!text.trim()) return;
    canvas.font = `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    const { fontBoundingBoxAscent: up, fontBoundingBoxDescent: down } = canvas.measureText('x');
    const base = line.top + (line.height * up) / (up + down);
    into.append(shape('text', {
      x: near(line.left - at.x), y: near(base - at.y), textLength: near(line.right - line.left), lengthAdjust: 'spacingAndGlyphs',
      fill: style.color, 'font-family': style.fontFamily, 'font-size': style.fontSize, 'font-weight': style.fontWeight,
      style: `white-space:pre;font-variant-numeric:${style.fontVariantNumeric}`,
    }, text));
    at.grow(line.right - at.x, line.top + line.height - at.y);
  }

  function frame(node, style, at, into) {
    const box = node.getBoundingClientRect();
    if (!box.width || !box.height) return;
    const place = { x: near(box.left - at.x), y: near(box.top - at.y), width: near(box.width), height: near(box.height) };
    const round = parseFloat(style.borderTopLeftRadius) || 0;
    const sides = ['Top', 'Right', 'Bottom', 'Left'].map((side) => ({
      width: style[`border${side}Style`] === 'none' ? 0 : parseFloat(style[`border${side}Width`]),
      colour: style[`border${side}Color`],
    }));
    const filled = clear(style.backgroundColor) ? 'none' : style.backgroundColor;
    const [first] = sides;
    const even = first.width && sides.every((side) => side.width === first.width && side.colour === first.colour);
    if (filled !== 'none') into.append(shape('rect', { ...place, rx: round, fill: filled }));
    const [, ring, thick] = /^(rgba?\([^)]*\)|color\([^)]*\)) 0px 0px 0px ([\d.]+)px inset/.exec(style.boxShadow) ?? [];
    for (const [colour, width] of [even ? [first.colour, first.width] : [], ring ? [ring, Number(thick)] : []]) {
      if (!colour) continue;
      into.append(shape('rect', {
        x: near(place.x + width / 2), y: near(place.y + width / 2), rx: round, fill: 'none', stroke: colour, 'stroke-width': width,
        width: near(Math.max(0, place.width - width)), height: near(Math.max(0, place.height - width)),
      }));
    }
    if (!even) {
      const [x, y, right, bottom] = [place.x, place.y, place.x + place.width, place.y + place.height];
      const ends = [[x, y, right, y, 0, 1], [right, y, right, bottom, -1, 0], [x, bottom, right, bottom, 0, -1], [x, y, x, bottom, 1, 0]];
      sides.forEach(({ width, colour }, i) => {
        if (!width || clear(colour)) return;
        const [x1, y1, x2, y2, dx, dy] = ends[i];
        const [left, down] = [(dx * width) / 2, (dy * width) / 2];
        into.append(shape('line', { x1: x1 + left, y1: y1 + down, x2: x2 + left, y2: y2 + down, stroke: colour, 'stroke-width': width }));
      });
    }
    at.grow(place.x + place.width, place.y + place.height);
  }

  // A drawing within the view, with the properties from style sheets written into its elements.
  function drawing(node, at, into) {
    const box = node.getBoundingClientRect();
    if (!box.width || !box.height) return;
    const made = node.cloneNode(true);
    const [from, to] = [node, made].map((one) => [one, ...one.querySelectorAll('*')]);
    from.forEach((one, i) => {
      const style = getComputedStyle(one);
      for (const name of DRAWN) {
        const value = style.getPropertyValue(name);
        if (value) to[i].style.setProperty(name, value);
      }
      to[i].removeAttribute('class');
    });
    made.removeAttribute('style');
    for (const [key, value] of Object.entries({ x: near(box.left - at.x), y: near(box.top - at.y), width: near(box.width), height: near(box.height) }))
      made.setAttribute(key, value);
    made.setAttribute('color', getComputedStyle(node).color);
    into.append(made);
    at.grow(box.right - at.x, box.bottom - at.y);
  }

  function slider(node, style, at, into) {
    const box = node.getBoundingClientRect();
    const share = (node.value - node.min) / (node.max - node.min || 1);
    const [x, y] = [near(box.left - at.x), near(box.top - at.y + box.height / 2)];
    const own = getComputedStyle(node.parentElement);
    const part = (name) => (parseFloat(own.getPropertyValue(name)) || 0) / 100;
    const [from, to] = [part('--from'), part('--to')];
    into.append(shape('rect', { x, y: y - 2, width: near(box.width), height: 4, rx: 2, fill: style.getPropertyValue('--pg-line') || '#ccc' }));
    if (to > from)
      into.append(shape('rect', { x: near(x + from * box.width), y: y - 4, width: near((to - from) * box.width), height: 8, fill: style.getPropertyValue('--colour') }));
    into.append(shape('rect', { x: near(x + share * (box.width - 12)), y: y - 9, width: 12, height: 18, rx: 5, fill: style.getPropertyValue('--pg-ink') || '#000' }));
  }

  function walk(node, at, into) {
    if (node.nodeType === Node.TEXT_NODE) {
      const style = getComputedStyle(node.parentElement);
      if (style.visibility !== 'hidden') words(node, style, at, into);
      return;
    }
    if (node.nodeType !== Node.ELEMENT_NODE || node.matches('[data-unsaved]')) return;
    const style = getComputedStyle(node);
    if (style.display === 'none' || style.opacity === '0') return;
    let home = into;
    if (Number(style.opacity) < 1) into.append(home = shape('g', { opacity: style.opacity }));
    if (node instanceof SVGSVGElement) return drawing(node, at, home);
    if (style.display === 'contents') return node.childNodes.forEach((child) => walk(child, at, home));
    if (node.matches('input[type="range"]')) return slider(node, style, at, home);
    if (style.visibility !== 'hidden') frame(node, style, at, home);
    if (style.overflowX === 'hidden' && (node.scrollWidth > node.clientWidth + 1)) { // cut, as it is here
      const box = node.getBoundingClientRect();
      const id = `cut-${at.cuts += 1}`;
      home.append(shape('clipPath', { id }, shape('rect', { x: near(box.left - at.x), y: near(box.top - at.y), width: near(box.width), height: near(box.height) })));
      const inner = shape('g', { 'clip-path': `url(#${id})` });
      home.append(inner);
      const grow = at.grow;
      at.grow = () => {};
      node.childNodes.forEach((child) => walk(child, at, inner));
      at.grow = grow;
      return;
    }
    node.childNodes.forEach((child) => walk(child, at, home));
  }

  // The @font-face rules of a family on the page, as data.
  async function faces(families) {
    const rules = [...document.styleSheets].flatMap((sheet) => {
      try { return [...sheet.cssRules].map((rule) => [rule, sheet.href ?? location.href]); } catch { return []; }
    });
    const found = rules.filter(([rule]) => rule instanceof CSSFontFaceRule
      && families.has(rule.style.getPropertyValue('font-family').replace(/["']/g, '').toLowerCase()));
    const told = await Promise.all(found.map(async ([rule, base]) => {
      const address = /url\(["']?([^"')]+)/.exec(rule.style.getPropertyValue('src') || rule.cssText)?.[1];
      if (!address) return '';
      const whole = new URL(address, base).href;
      if (!fonts.has(whole)) fonts.set(whole, await data(whole));
      const [family, weight] = ['font-family', 'font-weight'].map((name) => rule.style.getPropertyValue(name));
      return fonts.get(whole) && `@font-face{font-family:${family};font-weight:${weight || 400};src:url(${fonts.get(whole)})}`;
    }));
    return told.join('');
  }
  async function data(address) {
    try {
      const answer = await fetch(address);
      if (!answer.ok) return '';
      const blob = await answer.blob();
      return await new Promise((resolve) => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result);
        reader.readAsDataURL(blob);
      });
    } catch { return ''; } // another font is used instead
  }

  return async (box) => {
    // What scrolls within the view is drawn whole.
    const scrolled = [...box.querySelectorAll('*')].filter((node) => /auto|scroll/.test(getComputedStyle(node).overflow))
      .map((node) => [node, node.getAttribute('style'), node.scrollLeft, node.scrollTop]);
    for (const [node] of scrolled) Object.assign(node.style, { overflow: 'visible', maxHeight: 'none' });
    const { left, top } = box.getBoundingClientRect();
    const at = {
      x: left - MARGIN, y: top - MARGIN, cuts: 0, width: 0, height: 0,
      grow(right, bottom) { [at.width, at.height] = [Math.max(at.width, right), Math.max(at.height, bottom)]; },
    };
    const inside = shape('g', {});
    walk(box, at, inside);
    for (const [node, style, x, y] of scrolled) {
      if (style === null) node.removeAttribute('style');
      else node.setAttribute('style', style);
      [node.scrollLeft, node.scrollTop] = [x, y];
    }
    const size = { width: Math.ceil(at.width + MARGIN), height: Math.ceil(at.height + MARGIN) };
    const families = new Set();
    for (const one of inside.querySelectorAll('*')) {
      const told = one.getAttribute('font-family') ?? one.style?.fontFamily;
      if (told) families.add(told.split(',')[0].replace(/["']/g, '').trim().toLowerCase());
    }
    return shape('svg', { xmlns: SPACE, viewBox: `0 0 ${size.width} ${size.height}`, ...size },
      shape('style', {}, await faces(families)), shape('rect', { ...size, fill: paper(box) }), inside);
  };
})();
