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
};
