// The rows of a search over the steps, as beams.js shows them in one of several sizes.
//   laid(tree, {size, type, room, passed}) is the layout: `type` is the page's font size, `room` the visible width,
//     `passed` whether candidates that were not kept are drawn too;
//   parts(tree, layout, {from, to, chosen, passed}) draws the steps between two of them, as nodes;
//   under(tree, layout, left, top) is the beam at a point.
window.playground.beamDrawing = (() => {
  const { shape } = playground;
  const SIZES = [ // of a step and of a row, in pixels; letters of a token that fit; whether its score is shown
    { step: 8, row: 14, letters: 0 }, { step: 16, row: 20, letters: 0 },
    { step: 62, row: 24, letters: 6 }, { step: 96, row: 40, letters: 10, scored: true },
    { step: 136, row: 44, letters: 15, scored: true, weighed: true },
  ];
  const TOP = 24;
  const LEFT = 30;
  const KINDS = ['passed', 'given', 'kept', 'best']; // from the one drawn first to the one drawn over all
  const kind = (one) => (one.passed ? 'passed' : one.best ? 'best' : one.kept ? 'kept' : 'given');
  const number = (x, digits = 2) => (x === null || x === undefined ? '—' : x.toFixed(digits).replace('-', '−'));

  function laid(tree, { size, type, room, passed }) {
    const { step: least, row: high, letters } = SIZES[size];
    // Without letters the steps take the width that there is.
    const wide = letters ? 0 : (room - LEFT * type - 24) / tree.positions;
    const step = Math.max(least * type, Math.min(wide, 40 * type));
    const row = high * type;
    return {
      ...SIZES[size], type, step, row, left: LEFT * type, top: TOP * type,
      width: LEFT * type + tree.positions * step + 8,
      height: TOP * type + (passed ? tree.most : tree.rows) * row + 6,
      box: step - (letters ? 18 * type : step - 6), // as wide as a token
      x: (index) => LEFT * type + index * step,
      y: (place) => TOP * type + (place + 0.5) * row,
    };
  }

  // The largest size in which all steps are in sight.
  const fitting = (tree, { type, room }) =>
    Math.max(0, SIZES.findLastIndex(({ step }) => LEFT * type + tree.positions * step * type < room));

  const shorter = (text, letters) => ([...text].length > letters ? `${[...text].slice(0, letters - 1).join('')}…` : text);

  function token(tree, layout, one) {
    const { row, type, box: width, scored, weighed, letters } = layout;
    const [left, middle, tall] = [layout.x(one.index), layout.y(one.place), row - 6];
    const group = shape('g', { class: `token-box ${kind(one)}` },
      shape('rect', { x: left, y: middle - tall / 2, width, height: tall, rx: 4 }),
      shape('text', { x: left + 5, y: middle + (scored ? -2 : 4) * type }, shorter(one.text, letters)));
    if (scored) {
      const weight = weighed && one.weight !== null && tree.by ? ` · ${number(one.weight)}` : '';
      group.append(shape('text', { class: 'score', x: left + 5, y: middle + 12 * type }, `${number(one.score)}${weight}`));
    }
    return group;
  }

  function parts(tree, layout, { from, to, chosen, passed }) {
    const { type, step, row, letters, box, x, y } = layout;
    const empty = () => Object.fromEntries(KINDS.map((name) => [name, '']));
    const [lines, dots, ends] = [empty(), empty(), empty()]; // by kind, the course of one path
    const tokens = [];
    for (let index = from; index < Math.min(to, tree.positions); index += 1) {
      const here = tree.at[index];
      if (!here) continue;
      for (const one of passed ? [...here.beams, ...here.passed] : here.beams) {
        const before = one.parent === null ? null : tree.beams[one.parent];
        const [x1, y1] = before ? [x(before.index) + box, y(before.place)] : [10 * type, y(0)];
        const [x2, y2] = [x(index), y(one.place)];
        const middle = Math.min(x1 + (x2 - x1) / 2, x2);
        lines[kind(one)] += `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
        if (!letters) dots[kind(one)] += `M${x2 + 3} ${y2}h0`;
        else if (!one.passed) tokens.push(token(tree, layout, one));
        else tokens.push(shape('text', { class: 'passed', x: x2 + 5, y: y2 + 4 * type }, shorter(one.text, letters)));
        if (one.fate === 'e') {
          const side = letters ? 8 * type : 4;
          ends[one.kept ? 'kept' : 'given'] += `M${x2 + box + 2} ${y2 - side / 2}h${side}v${side}h-${side}z`;
        }
      }
    }
    const drawn = (name, paths, kinds) => kinds.filter((one) => paths[one]).map((one) => shape('path', { class: `${name} ${one}`, d: paths[one] }));
    const every = [1, 5, 10, 20, 50].find((n) => n * step > 26 * type);
    const counts = [];
    for (let index = from; index < Math.min(to, tree.positions); index += 1)
      if ((index + 1) % every === 0 || (every > 1 && !index))
        counts.push(shape('text', { class: 'count', x: x(index) + (letters ? 4 : 0), y: 14 * type }, index + 1));
    const at = tree.beams[chosen];
    const bands = tree.bands.length > 1 ? tree.bands.slice(0, -1) : []; // of a search that keeps groups
    return [
      ...bands.slice(1).map((band) => shape('path', { class: 'between', d: `M0 ${layout.top + band * row}H${layout.width}` })),
      ...drawn('line', lines, KINDS), ...drawn('dot', dots, KINDS), ...tokens, ...drawn('end', ends, ['kept', 'given']),
      shape('circle', { class: 'prompt', cx: 8 * type, cy: y(0), r: 4 * type }), ...counts,
      ...bands.map((band, i) => shape('text', { class: 'group', x: 16 * type, y: y(band) + 4 * type }, `${i + 1}`)),
      ...(at ? [shape('rect', {
        class: 'chosen', x: x(at.index) - 2, y: y(at.place) - row / 2 + 1, rx: 5, width: box + 4, height: row - 2,
      })] : []),
    ];
  }

  const under = (tree, { left, top, step, row }, x, y) =>
    tree.at[Math.floor((x - left + 4) / step)]?.beams.find(({ place }) => place === Math.floor((y - top) / row));

  return { sizes: SIZES.length, laid, fitting, parts, under, number };
})();
