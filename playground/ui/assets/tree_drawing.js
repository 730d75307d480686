// All texts as lines, from left to right: playground.treeDrawing(forest, {room, scale, by}) gives {svg, lines,
// cursor}, where `forest` is the response that tree.js gets, `room` the visible width, and `by` what a line's
// thickness shows: the number of texts on it, or the probability of reaching it ('raw'). Of each stretch `lines` has
// {x, y, width, group}; `cursor` is a circle that tree.js puts on the selected token.
window.playground.treeDrawing = (() => {
  const { shape } = playground;
  const GREY = '#8a94a3'; // a stretch that several columns share
  const LONG = 8; // tokens from which a line shows how many it has
  const visible = (text) => text.replace(/\n/g, '↵').replace(/\t/g, '⇥');
  const titled = ({ letter, label, of, output }) =>
    `${letter || '—'} ${label}${of > 1 ? `, text ${output + 1} of ${of}` : ''}`;
  const depth = (stretches, i) => {
    let level = 1;
    for (let p = stretches[i].parent; p !== null; p = stretches[p].parent) level += 1;
    return level;
  };

  // A row for each text, and for each stretch the width that its words need.
  function laid({ stretches }, room, { gap, letter, least, many, most }) {
    const after = stretches.map(() => []);
    stretches.forEach(({ parent }, i) => { if (parent !== null) after[parent].push(i); });
    const rows = new Map(); // by text
    const spans = [];
    (function walk(numbers) {
      for (const i of numbers) {
        const from = rows.size;
        for (const text of stretches[i].ends) rows.set(text, rows.size);
        walk(after[i]);
        spans[i] = (from + rows.size - 1) / 2;
      }
    })(stretches.flatMap(({ parent }, i) => (parent === null ? [i] : [])));
    const places = [];
    stretches.forEach(({ parent, words, ends, texts }, i) => {
      const x = parent === null ? 6 : places[parent].x + places[parent].width + gap;
      const letters = Math.min(words.join('').length + 1, 30);
      const natural = Math.max(least, letters * letter + (words.length > LONG ? many : 0));
      const last = ends.length === texts.length;
      places[i] = { x, width: last ? Math.max(natural, Math.min(room - x, most)) : natural, row: spans[i] };
    });
    return { places, rows };
  }

  // The end of a text: its column's letter, its name, how long it is and why it ended.
  function leaf({ letter, colour, ink, label, of, output, ended, tokens }, x, from, to, scale) {
    const end = x + 14 * scale;
    const size = 18 * scale;
    const name = `${label.length > 18 ? `${label.slice(0, 17)}…` : label}${of > 1 ? ` ${output + 1}/${of}` : ''}`;
    return [
      shape('path', { d: `M${x} ${from}L${end} ${to}`, stroke: colour || GREY, 'stroke-width': 1.5, fill: 'none' }),
      shape('rect', { x: end, y: to - size / 2, width: size, height: size, rx: 4, fill: colour || 'none', stroke: colour || GREY }),
      shape('text', { x: end + size / 2, y: to + 4.5 * scale, class: 'mark', fill: ink || 'currentColor' }, letter || '·'),
      shape('text', { x: end + size + 5 * scale, y: to + 1, class: 'leaf' }, name),
      shape('text', { x: end + size + 5 * scale, y: to + 13 * scale, class: 'many' }, `${tokens} · ${ended}`),
    ];
  }

  function drawing(forest, { room, scale, by }) {
    const { stretches, texts } = forest;
    const [letter, badge, many] = [6.3 * scale, 190 * scale, 34 * scale];
    const { places, rows } = laid(forest, Math.max(room, 300) - badge,
      { gap: 30 * scale, letter, least: 46 * scale, many, most: 620 * scale });
    const [step, top] = [(rows.size > 16 ? 29 : 40) * scale, 26 * scale];
    const y = (row) => top + row * step;
    const thick = (one) => (by === 'raw' ? 2 + 10 * one.raw[0] : 2 + (10 * one.texts.length) / texts.length) * scale;
    const width = Math.max(0, ...places.map((p) => p.x + p.width)) + badge;
    const height = top + rows.size * step - 8 * scale;
    const svg = shape('svg', { width, height, viewBox: `0 0 ${width} ${height}`, role: 'tree', 'aria-label': 'All texts' });

    function line(one, i) {
      const { x, width: wide, row } = places[i];
      const middle = y(row);
      const columns = new Set(one.texts.map((text) => texts[text].column));
      const colour = columns.size === 1 ? texts[one.texts[0]].colour || GREY : GREY;
      const stroke = { stroke: colour, 'stroke-width': thick(one), fill: 'none' };
      if (columns.size === 1 && columns.has(null)) stroke['stroke-dasharray'] = '5 3';
      const words = visible(one.words.join(''));
      const group = shape('g', { role: 'treeitem', tabindex: -1, 'aria-level': depth(stretches, i), 'data-number': i,
        'aria-label': `${one.words.length} token${one.words.length === 1 ? '' : 's'} in ${
          one.texts.map((t) => titled(texts[t])).join('; ')}: ${words.slice(0, 200)}` });
      if (one.parent !== null) {
        const before = places[one.parent];
        const from = before.x + before.width;
        const half = (from + x) / 2;
        group.append(shape('path', { ...stroke, d: `M${from} ${y(before.row)}C${half} ${y(before.row)} ${half} ${middle} ${x} ${middle}` }));
      }
      group.append(shape('path', { ...stroke, d: `M${x} ${middle}h${wide}` }));
      const above = middle - thick(one) / 2 - 5 * scale;
      const long = one.words.length > LONG;
      if (long) group.append(shape('text', { x: x + wide - 2, y: above, class: 'many last' }, one.words.length));
      const fits = Math.floor((wide - (long ? many : 0)) / letter);
      group.append(
        shape('text', { x: x + 2, y: above, class: 'words' }, words.length > fits ? `${words.slice(0, Math.max(3, fits - 1))}…` : words),
        shape('rect', { x, y: middle - 24 * scale, width: wide, height: 34 * scale, class: 'touch' }),
      );
      for (const text of one.ends) group.append(...leaf(texts[text], x + wide, middle, y(rows.get(text)), scale));
      svg.append(group);
      return { x, y: middle, width: wide, group };
    }
    const lines = stretches.map(line);
    const cursor = shape('circle', { r: 5.5 * scale, class: 'cursor' });
    svg.append(cursor);
    return { svg, lines, cursor };
  }

  return Object.assign(drawing, { titled, visible });
})();
