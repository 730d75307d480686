// What a file tells of its values by itself: what other settings would have changed, and which token a chart is at.
const recorded = {
  // A setting's range at each token is in the file; of two settings at once nothing is. `ranges` by setting,
  // `values` the settings that were moved, `token(i)` the words for a token.
  whatIf(ranges, { values }, token) {
    const moved = Object.entries(values);
    if (moved.length > 1)
      return { kind: 'unknown', told: 'a file can follow one setting at a time; put the others back.' };
    const [[name, value]] = moved;
    const found = ranges[name]?.tokens ?? [];
    if (!found.length) return { kind: 'unknown', told: 'the file does not hold how far it may go.' };
    const index = found.findIndex(([low, high]) => value < low || value > high);
    if (index < 0) return { kind: 'same', told: `this text would not have changed; all ${found.length} tokens stay.` };
    const [, , below, above] = found[index];
    const sure = (below !== null && value <= below) || (above !== null && value >= above);
    const stay = index ? `; the ${index === 1 ? '1 token' : `${index} tokens`} before it stay` : '';
    return sure
      ? { kind: 'changed', told: `at token ${index + 1} another token would stand in place of ${token(index)}${stay}.` }
      : { kind: 'unknown', told: `it may change at token ${index + 1}, ${token(index)}; the page tells which token comes instead${stay}.` };
  },

  // A chart of all columns, with a token of one of them marked in it.
  marked(value, lane, step, colour) {
    if (!value?.figure) return value;
    const figure = structuredClone(value.figure);
    const own = (trace) => trace.customdata?.[0]?.[0] === lane;
    for (const trace of figure.data.filter(own)) {
      if (trace.type === 'scatter' && Array.isArray(trace.marker?.size)) {
        trace.mode = 'lines+markers';
        trace.marker.color = colour;
        trace.marker.size = trace.customdata.map(([, at]) => (at === step ? 13 : 5));
      }
    }
    const stack = figure.data.find((trace) => trace.type === 'bar' && own(trace));
    const at = stack ? stack.customdata.findLastIndex(([, first]) => first <= step) : -1;
    if (at >= 0) {
      const half = ((stack.x[1] ?? stack.x[0] + 1) - stack.x[0]) / 2;
      figure.layout.shapes = [...(figure.layout.shapes ?? []), { type: 'rect', yref: `${stack.yaxis} domain`, y0: 0, y1: 1,
        x0: stack.x[at] - half, x1: stack.x[at] + half, fillcolor: 'rgba(138,148,163,0.3)', line: { width: 0 }, layer: 'below' }];
    }
    return { ...value, figure };
  },
};
