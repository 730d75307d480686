// What a file shows: the columns, and of one token at a time all that the page's inspector shows.
// All values are in the file; see playground/html/content.py.
(async () => {
  const $ = (selector) => document.querySelector(selector);
  const page = $('#page');
  const { node, segments } = controls;
  controls.themed($('#theme'));

  async function unpacked(id) {
    const bytes = Uint8Array.from(atob($(`#${id}`).textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
    return new Response(stream).text();
  }
  let data;
  try {
    data = JSON.parse(await unpacked('content'));
  } catch (error) {
    $('#fault').hidden = false;
    $('#fault').textContent = typeof DecompressionStream === 'undefined'
      ? 'This browser is too old to unpack the file; any of 2023 or later can.'
      : `The file is damaged: ${error.message}.`;
    return;
  }
  const { head, lanes, texts } = data;
  const shown = { ...data.opening, text: 0, stage: 'final', side: data.sides[0][1], tab: 'distribution' };

  columns.head(head);
  segments($('#bar'), 'Colour by', ['surprise', 'rank', 'entropy', 'off'].map((t) => [t, t]), 'surprise',
    (tint) => { page.dataset.tint = tint; });
  mount($('#bar'), 'reference', { on: { refer: () => drawTab() } });

  const strips = lanes.map((lane, number) => columns.column(lane, number, texts[0].strips[number], {
    pick: ({ lane: at, step }) => select(at, step), turn: ({ output }) => turn(output),
  }));
  document.dispatchEvent(new CustomEvent('playground:setup'));

  const path = () => texts[shown.text].paths[shown.lane];
  const ranges = () => texts[shown.text].changes[shown.lane]?.ranges;
  const whatIf = (asked) => recorded.whatIf(ranges() ?? {}, asked,
    (index) => path()[index].caption.title.replace(/^token \d+: /, ''));

  // Inspector
  mount($('#inspector'), 'dock');
  const caption = mount($('.caption-home'), 'caption');
  const column = segments($('#inspector-place'), 'Column', lanes.map(({ letter, name }, i) => [`${letter} ${name}`.trim(), i]),
    shown.lane, (lane) => select(Number(lane), shown.step));
  const walked = mount($('#inspector-place'), 'walk', {
    on: { pick: ({ lane, step }) => select(lane, step) },
    server: { choices: async ({ lane, first }) => {
      const { answer } = texts[shown.text].walks[lane];
      return answer.fault ? answer : { ...answer, first: 0, asked: first };
    } },
  });
  const token = mount($('#inspector-place'), 'token', { on: { input: (_, value) => select(shown.lane, value.token - 1) } });
  const tabs = controls.tabs($('#inspector .tab-container'), $('#inspector .tabs'), (name) => {
    shown.tab = name;
    drawTab();
  });
  const part = (className = '') => node('div', `part ${className}`);
  const point = { point: ({ data: [lane, step] }) => select(lane, step) };

  const [bars, stages] = [part(), part()];
  tabs.add('distribution', 'Distribution', bars, stages);
  const after = segments(stages, 'Bars after', [], null, (stage) => { shown.stage = stage; drawTab(); });
  const charts = {
    bars: mount(bars, 'rows'),
    stages: mount(stages, 'rows', { on: { point: ({ data: [stage] }) => { shown.stage = String(stage); drawTab(); } } }),
  };
  const reasons = part('whole');
  tabs.add('why', 'Why', reasons);
  charts.panels = mount(reasons, 'panels');
  charts.why = mount(reasons, 'listing');
  const [own, others] = [part(), part()];
  tabs.add('draw', 'Draw', own, others);
  charts.tickets = mount(own, 'listing');
  charts.neighbours = mount(others, 'listing');
  const rows = part('whole');
  tabs.add('beams', 'Beams', rows);
  const pick = { pick: ({ lane, output, step }) => {
    const several = texts.length > 1 && Number.isInteger(output) && output !== shown.text;
    if (several) [shown.lane, shown.step] = [lane, step];
    if (several) turn(output); else select(lane, step);
  } };
  charts.beams = mount(rows, 'beams', { on: pick, server: { tree: async ({ lane }) => data.beams[lane] } });
  const knobs = part('whole');
  tabs.add('changes', 'What if', knobs);
  charts.changes = mount(knobs, 'changes', { server: { what_if: whatIf } });
  if (lanes.length > 1) {
    const apart = part();
    tabs.add('distances', 'Distance', apart);
    charts.distances = mount(apart, 'listing');
  }
  const [left, right] = [part(), part()];
  tabs.add('timings', 'Timings', left, right);
  for (const [home, name] of [[left, 'per_step'], [right, 'timeline'], [right, 'memory']])
    charts[name] = mount(home, 'plot', { constants: { source: '' }, on: point });
  const whole = part('whole');
  tabs.add('steps', 'Steps', whole);
  segments(whole, 'Values', data.sides, shown.side, (side) => { shown.side = side; drawTab(); });
  charts.ribbon = mount(whole, 'ribbon', { on: point, server: { figures: async () => texts[shown.text].figures } });
  charts.steps = mount(whole, 'plot', { constants: { source: '' }, on: point });
  const [branches, pairs] = [part(), part()];
  tabs.add('tree', 'Tree', branches, pairs);
  charts.tree = mount(branches, 'tree', { on: pick, server: { forest: async () => data.forest } });
  charts.apart = mount(pairs, 'apart', { on: pick, server: { apart: async ({ left, right }) => {
    const { charts: each, ...answer } = texts[shown.text].apart;
    const chart = each?.find((one) => one.left === left && one.right === right) ?? each?.[0] ?? null;
    return { ...answer, chart };
  } } });
  const files = part('whole');
  tabs.add('data', 'Data', files);
  const links = mount(files, 'downloads');
  files.append(node('p', 'restore', 'Drop this file, or its JSON, onto a Decoding Playground to open the run there.'));
  const table = tokenTable();
  files.append(table.box);

  const clamp = (least, value, most) => Math.max(least, Math.min(value, most));

  function select(lane, step) {
    shown.lane = clamp(0, lane, lanes.length - 1);
    shown.step = clamp(0, step, Math.max(0, path().length - 1));
    draw();
  }
  function turn(text) {
    shown.text = text;
    strips.forEach((strip, i) => strip.show(texts[text].strips[i]));
    select(shown.lane, shown.step);
  }
  function draw() {
    const here = path();
    caption.show(here[shown.step]?.caption ?? texts[shown.text].none[shown.lane]);
    column(lanes.map(({ letter, name }, i) => [`${letter} ${name}`.trim(), i]), shown.lane);
    walked.show(here.length ? { ...texts[shown.text].walks[shown.lane], step: shown.step } : null);
    token.show(here.length ? { token: shown.step + 1, most: here.length } : null);
    drawTab();
  }

  const written = new WeakMap(); // figures as JSON, and figures with the shapes of a reference
  const once = (key, make) => written.get(key) ?? written.set(key, make()).get(key);
  const figured = (value) => value && {
    ...value, figure: value.figure && once(value.figure, () => JSON.stringify(value.figure)),
  };
  const marked = (value) => value && { ...value, marked: { lane: shown.lane, step: shown.step, colour: lanes[shown.lane].colour } };
  const draws = {
    distribution(record) {
      const { stages: choices } = lanes[shown.lane];
      const asked = choices.some(([, value]) => value === shown.stage) ? shown.stage : 'final';
      after(choices, asked);
      const index = asked === 'final' ? record.bars.length - 1 : Number(asked) + 1;
      for (const name of ['bars', 'stages']) charts[name].show({ ...record[name][index], table: record.tables[name] });
    },
    why(record) {
      charts.panels.show({ ...record.panels, table: record.tables.stages });
      charts.why.show({ ...record.why, table: record.tables.bars });
    },
    draw(_, place) {
      charts.tickets.show(place.tickets);
      charts.neighbours.show(place.neighbours);
    },
    beams(_, place) { charts.beams.show({ ...texts[shown.text].beams[shown.lane], node: place.record }); },
    changes() { charts.changes.show(texts[shown.text].changes[shown.lane]); },
    distances() { charts.distances.show(texts[shown.text].distances[shown.lane]); },
    timings() {
      const { per_step: each, timeline, memory } = texts[shown.text].timings;
      charts.per_step.show(marked(figured(each)));
      charts.timeline.show(figured(timeline));
      charts.memory.show(figured(memory));
    },
    steps() {
      const value = texts[shown.text].steps[shown.side];
      const { reference } = playground.reference.view();
      const other = reference === null ? null : value.references[reference];
      const { figure: own } = value;
      const figure = other ? once(other, () => ({ ...own, layout: { ...own.layout, shapes: other.shapes } })) : own;
      charts.ribbon.show({ ...texts[shown.text].ribbon[shown.side], marked: [shown.lane, shown.step] });
      charts.steps.show(marked(figured({ ...value, figure, sentence: other?.sentence ?? value.sentence })));
    },
    tree() {
      const output = texts[shown.text].walks[shown.lane].output;
      for (const name of ['tree', 'apart']) charts[name].show({ run: 'run', lane: shown.lane, output, step: shown.step });
    },
    data: drawData,
  };
  function drawTab() {
    const place = path()[shown.step];
    if (place) return draws[shown.tab](lanes[shown.lane].records[place.record], place);
    for (const chart of Object.values(charts)) chart.show(null);
    if (shown.tab === 'data') drawData();
  }
  const save = (text, type) => URL.createObjectURL(new Blob([text], { type }));
  async function drawData() {
    if (!links.element.dataset.ready) {
      links.element.dataset.ready = 'yes';
      links.show({ csv: save(data.csv, 'text/csv'), json: save(await unpacked('run'), 'application/json') });
      for (const link of links.element.querySelectorAll('a')) link.download = `comparison-${data.name.replace(/[^\w-]/g, '')}.${link.className}`;
    }
    table.show(texts[shown.text].table, lanes[shown.lane].letter, shown.step + 1);
  }

  tabs.open('distribution');
  draw();
  document.dispatchEvent(new CustomEvent('playground:ran', { detail: { tokens: Math.max(...texts[0].paths.map((p) => p.length), 1) } }));
  page.dataset.ready = 'yes';
})();
