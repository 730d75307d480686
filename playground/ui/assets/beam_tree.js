// The tree of a search's beams, as beams.js draws and walks it. `found` is a response of ui/beams.py, which
// has only what is new, and `known` the tree before it, or null. Every beam has {number, parent, index, id, text,
// logprob, score, weight, fate, after: how many beams it continued as, place: its rank by score at its position, kept:
// whether it is of a text, best: of the one that is shown}; what was passed over has {passed: true, place, …}.
window.playground.beamTree = (() => {
  function grown(known, found) {
    const beams = [...(known?.beams.slice(0, found.first) ?? []), ...found.beams.map(
      ([parent, index, id, text, logprob, score, weight, group]) => ({ parent, index, id, text, logprob, score, weight, group }))];
    const passed = [...(known?.passed.slice(0, found.first_passed) ?? []), ...found.passed.map(
      ([parent, index, id, text, score]) => ({ parent, index, id, text, score, passed: true }))];
    beams.forEach((beam, i) => {
      Object.assign(beam, { number: i, fate: found.fates[i], after: 0, best: false, kept: false });
      if (beam.parent !== null) beams[beam.parent].after += 1;
    });
    const { at, rows, most, bands } = placed(beams, passed);
    found.texts.forEach(([node], i) => {
      for (let beam = beams[node]; beam && !(beam.kept && i); beam = beams[beam.parent]) {
        beam.kept = true;
        beam.best ||= i === 0;
      }
    });
    const { positions, weighs_by: by, texts, going } = found;
    return { beams, passed, at, rows, most, bands, positions, by, texts, going };
  }

  // The beams of each position by score, and after them what was passed over there. A search that keeps its rows in
  // groups has a band of places for each group: `bands` are their first places, the last of all behind them.
  function placed(beams, passed) {
    const at = [];
    for (const one of beams) (at[one.index] ??= { beams: [], passed: [] }).beams.push(one);
    for (const one of passed) (at[one.index] ??= { beams: [], passed: [] }).passed.push(one);
    let rows = 1;
    let most = 1;
    const sizes = []; // by group, the most rows that it has at a position
    for (const here of at) {
      const counts = [];
      for (const { group } of here?.beams ?? []) if (group !== null && group !== undefined) counts[group] = (counts[group] ?? 0) + 1;
      counts.forEach((count, group) => { sizes[group] = Math.max(sizes[group] ?? 0, count); });
    }
    const bands = [0];
    if (sizes.length > 1) for (let group = 0; group < sizes.length; group += 1) bands.push(bands[group] + (sizes[group] ?? 0));
    for (const here of at) {
      if (!here) continue;
      here.beams.sort((a, b) => b.score - a.score || a.number - b.number);
      here.passed.sort((a, b) => b.score - a.score);
      here.beams.forEach((one, i) => { one.rank = one.place = i; });
      if (bands.length > 1) {
        const next = [...bands];
        for (const one of here.beams) { one.place = next[one.group ?? 0]; next[one.group ?? 0] += 1; }
        here.beams.sort((a, b) => a.place - b.place);
      }
      const high = bands.length > 1 ? bands.at(-1) : here.beams.length;
      here.passed.forEach((one, i) => { one.place = high + i; });
      rows = Math.max(rows, high);
      most = Math.max(most, high + here.passed.length);
    }
    return { at, rows, most, bands };
  }

  // The beams from the prompt to this one.
  function path(tree, one) {
    const found = [];
    for (let beam = one; beam; beam = beam.parent === null ? null : tree.beams[beam.parent]) found.unshift(beam);
    return found;
  }

  const fate = (tree, one) => ({
    c: `went on as ${one.after === 1 ? 'one row' : `${one.after} rows`}`,
    e: one.kept ? 'ended here, and is among the texts' : 'ended here, and was overtaken by better texts',
    p: tree.passed.length ? `given up: nothing that follows it was taken for token ${one.index + 2}` : 'given up',
    r: 'still being written',
  }[one.fate]);

  function table(tree) {
    const fates = { c: 'continued', e: 'ended', p: 'given up', r: 'running' };
    const columns = ['beam', 'parent', 'position', 'id', 'token', 'log-probability', 'score', tree.by || 'weight', 'place', 'group', 'fate', 'shown'];
    const rows = [
      ...tree.beams.map((b) => [b.number, b.parent, b.index + 1, b.id, b.text, b.logprob, b.score, b.weight, b.rank + 1, b.group === null || b.group === undefined ? null : b.group + 1, fates[b.fate], Number(b.best)]),
      ...tree.passed.map((b) => [null, b.parent, b.index + 1, b.id, b.text, null, b.score, null, null, null, 'passed over', 0]),
    ];
    return { columns, rows };
  }

  return { grown, path, fate, table };
})();
