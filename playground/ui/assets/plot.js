// A Plotly figure in the colours of the theme. Model text in it was escaped on the server.
// value: {figure: the JSON of {data, layout}, sentence, view}; a figure of the same view keeps its zoom, and is saved
// by its name. Or {asked, marked: {lane, step, colour}, view}: the figure is requested, and a token is marked in it.
// Function: chart(asked) gives {figure, sentence}, or {fault}.
// Annotations named 'wide' are hidden on a narrow page. Event: point {data: the clicked point's customdata},
// or the lane and step that the arrow keys went to.
// Constants: source, the library's file
const [sentence, chart] = ['.sentence', '.chart'].map((s) => element.querySelector(s));
const probe = document.createElement('span');
let seen = false; // the library is 4.8 MB: it is fetched once, when the first chart comes into sight
let drawn = null; // the figure and the theme that were drawn last
let series = []; // the data and the shapes of the drawn figure
let under = [];
let marks = ''; // the shapes of the token that was marked in it last
let going = null; // the token that the keys moved to, until it is marked
let known = { key: null, value: null }; // the last request, and its response

function library() {
  window.playgroundPlotly ??= new Promise((resolve, reject) => {
    const { root = '', api_prefix: prefix = '/gradio_api' } = window.gradio_config ?? {};
    const script = document.createElement('script');
    script.src = `${root}${prefix}/file=${encodeURI(source)}`;
    script.async = true;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      window.playgroundPlotly = null;
      script.remove();
      reject(new Error('The drawing library did not arrive; open the tab again to retry.'));
    };
    // Parsing it blocks the page for a second or two, so it waits until the page is idle.
    const fetch = () => document.head.append(script);
    if (window.requestIdleCallback) requestIdleCallback(fetch, { timeout: 1500 });
    else setTimeout(fetch, 300);
  });
  return window.playgroundPlotly;
}

// A custom property as a colour that Plotly can parse.
function colour(name) {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

function theme() {
  const style = getComputedStyle(chart);
  return {
    ink: colour('--body-text-color'),
    dim: colour('--body-text-color-subdued'),
    line: colour('--border-color-primary'),
    narrow: chart.clientWidth < 440,
    type: parseFloat(style.getPropertyValue('--pg-type')) || 1,
    paper: colour('--background-fill-primary'),
    sans: style.fontFamily,
    mono: style.getPropertyValue('--font-mono').trim() || 'monospace',
  };
}

function themed({ data, layout }, look) {
  const sizes = ['size', 'l', 'r', 't', 'b', 'height', 'xshift', 'yshift'];
  const made = JSON.parse(JSON.stringify({ data, layout }), (key, value) =>
    (key === 'family' && value === 'monospace' ? look.mono
      : typeof value === 'number' && sizes.includes(key) ? value * look.type : value));
  const dressed = made.layout;
  dressed.font = { ...dressed.font, color: look.ink, family: look.sans };
  for (const [name, axis] of Object.entries(dressed)) {
    if (!/^[xy]axis\d*$/.test(name)) continue;
    Object.assign(axis, { gridcolor: look.line, zerolinecolor: look.dim, linecolor: look.dim });
    axis.tickfont = { color: axis.tickfont?.family ? look.ink : look.dim, ...axis.tickfont };
    if (axis.title) axis.title.font = { size: 12 * look.type, color: look.dim, ...axis.title.font };
  }
  if (look.narrow) dressed.annotations = dressed.annotations?.filter(({ name }) => name !== 'wide');
  dressed.hoverlabel = { ...dressed.hoverlabel, bgcolor: look.paper, bordercolor: look.dim,
    font: { color: look.ink, family: look.sans, size: 12 * look.type } };
  dressed.dragmode = matchMedia('(pointer: coarse)').matches ? false : 'zoom';
  return made;
}

// The value itself, or the server's response for it.
async function found(value) {
  if (!value.asked) return value;
  const key = JSON.stringify(value.asked);
  if (known.key !== key) known = { key, value: server.chart(value.asked).catch(() => null) };
  const answer = await known.value;
  if (!answer || answer.fault) known = { key: null, value: null }; // it is requested again
  return { sentence: answer?.fault ?? 'The server did not answer.', ...answer };
}

// Shapes over the token that is marked: a band over its bar, or a band over its position and rings on its points.
function marked({ lane, step, colour: own }, paper) {
  const shapes = [];
  const band = (x0, x1, yref) => ({ type: 'rect', yref, x0, x1, y0: 0, y1: 1, fillcolor: 'rgba(138,148,163,0.3)', line: { width: 0 }, layer: 'below' });
  const mine = series.filter(({ customdata }) => customdata?.[0]?.[0] === lane);
  const stack = mine.find(({ type }) => type === 'bar');
  const at = stack ? stack.customdata.findLastIndex(([, first]) => first <= step) : -1;
  if (at >= 0) {
    const half = ((stack.x[1] ?? stack.x[0] + 1) - stack.x[0]) / 2;
    shapes.push(band(stack.x[at] - half, stack.x[at] + half, `${stack.yaxis} domain`));
  }
  for (const { x, y, yaxis } of mine.filter(({ type }) => type === 'scatter')) {
    if (y[step] === undefined) continue;
    shapes.push(band(x[step] - 0.5, x[step] + 0.5, `${yaxis} domain`), {
      type: 'circle', xsizemode: 'pixel', ysizemode: 'pixel', xanchor: x[step], yanchor: y[step], yref: yaxis,
      x0: -6, x1: 6, y0: -6, y1: 6, fillcolor: own, line: { color: paper, width: 2 },
    });
  }
  return shapes;
}

async function draw() {
  const value = props.value;
  element.hidden = !value;
  if (!value) return;
  if (value.marked?.lane === going?.lane && value.marked?.step === going?.step) going = null;
  const answer = await found(value);
  if (value !== props.value && JSON.stringify(value) !== JSON.stringify(props.value)) return;
  sentence.textContent = answer.sentence;
  chart.hidden = !answer.figure;
  if (!answer.figure) return;
  const look = theme();
  const key = answer.figure + JSON.stringify(look);
  if (key === drawn) return mark(value, look);
  const figure = JSON.parse(answer.figure);
  chart.style.height = `${figure.layout.height * look.type}px`;
  if (!seen) return;
  let Plotly;
  try {
    Plotly = await library();
  } catch (error) {
    sentence.textContent = error.message;
    return;
  }
  await turn(); // several charts are drawn one in each frame, the first at once
  if (value !== props.value && JSON.stringify(value) !== JSON.stringify(props.value)) return;
  if (key === drawn || !chart.clientWidth) return;
  const first = drawn === null;
  drawn = key;
  chart.setAttribute('role', value.marked ? 'application' : 'img');
  chart.setAttribute('aria-label', answer.sentence);
  if (value.marked) {
    chart.tabIndex = 0;
    chart.setAttribute('aria-description', 'Arrow keys go from token to token and from column to column.');
  }
  const { data, layout } = themed(figure, look);
  layout.uirevision = value.view;
  [series, under] = [data, layout.shapes ?? []];
  const shapes = value.marked ? marked(value.marked, look.paper) : [];
  layout.shapes = [...under, ...shapes];
  marks = JSON.stringify(shapes);
  await Plotly.react(chart, data, layout, { displayModeBar: false, responsive: false, showTips: false });
  if (first) {
    chart.on('plotly_click', ({ points }) => {
      if (points[0]?.customdata) trigger('point', { data: points[0].customdata });
    });
  }
}

// The arrow keys go from token to token, and to the columns above and below.
chart.addEventListener('keydown', (event) => {
  const mark = props.value?.marked;
  if (!mark || event.ctrlKey || event.metaKey || event.altKey) return;
  const last = new Map(); // by column, its last token
  for (const { customdata } of series) if (customdata?.length) last.set(customdata[0][0], customdata.at(-1)[1]);
  const { lane, step } = going ?? mark;
  const lanes = [...last.keys()].sort((a, b) => a - b);
  const beside = (by) => lanes[lanes.indexOf(lane) + by] ?? lane;
  const to = {
    ArrowLeft: [lane, step - 1], ArrowRight: [lane, step + 1], Home: [lane, 0], End: [lane, Infinity],
    ArrowUp: [beside(-1), step], ArrowDown: [beside(1), step],
  }[event.key];
  if (!to) return;
  event.preventDefault();
  going = { lane: to[0], step: Math.max(0, Math.min(to[1], last.get(to[0]) ?? 0)) };
  trigger('point', { data: [going.lane, going.step] });
});

// The mark alone, over a figure that stays as it is.
function mark(value, look) {
  const shapes = value.marked ? marked(value.marked, look.paper) : [];
  if (JSON.stringify(shapes) === marks) return;
  marks = JSON.stringify(shapes);
  window.Plotly.relayout(chart, { shapes: [...under, ...shapes] });
}

// One chart a frame, over the whole page.
function turn() {
  const before = window.playgroundCharts;
  const mine = (async () => {
    if (!before) return;
    await before;
    await new Promise((resolve) => setTimeout(resolve)); // until the chart before is painted
  })();
  const over = mine.then(() => new Promise((resolve) => requestAnimationFrame(resolve)));
  window.playgroundCharts = over;
  over.then(() => { if (window.playgroundCharts === over) window.playgroundCharts = null; });
  return mine;
}

// The points of every series, as Plotly has read them.
function table() {
  const { _fullData: series = [], layout = {} } = chart;
  const titled = (name) => layout[name?.replace(/^([xy])/, '$1axis')]?.title?.text ?? '';
  const rows = series.flatMap(({ name, x, y, text, xaxis, yaxis, customdata }) => Array.from(x ?? [], (at, i) => {
    const [lane] = customdata?.[i] ?? []; // of the point under the pointer
    const letter = Number.isInteger(lane) ? String.fromCharCode(65 + lane) : '';
    return [letter, name, at, y?.[i], titled(xaxis), titled(yaxis), Array.isArray(text) ? text[i] : ''];
  }));
  const name = (props.value.view || 'chart').replace(/[^\w-]+/g, '-');
  return { name, columns: ['column', 'series', 'x', 'y', 'x axis', 'y axis', 'text'], rows };
}

probe.hidden = true;
element.append(probe);
new IntersectionObserver((entries) => {
  seen ||= entries.some((entry) => entry.isIntersecting);
  draw();
}, { rootMargin: '300px' }).observe(element);
let width = 0;
new ResizeObserver(() => {
  if (drawn === null || !chart.clientWidth || chart.clientWidth === width) return;
  width = chart.clientWidth;
  window.Plotly.Plots.resize(chart);
  draw();
}).observe(chart);
const themes = new MutationObserver(draw);
for (const node of [document.documentElement, document.body])
  themes.observe(node, { attributes: true, attributeFilter: ['class', 'data-theme', 'style'] });
playground.save(element.querySelector('.plot'), table);
watch('value', draw);
draw();
