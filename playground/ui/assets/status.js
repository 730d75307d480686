// One line about the run on the page. value: {kind, text, frame: {run, sent}}; `frame` only while a
// run is followed, `sent` in seconds of a clock of the server. `resume` after a reload, where the run
// that the page followed goes on: the event of that name asks to follow it again.
const LATE = 300; // milliseconds later than the quickest frame of the run: such a frame is late
const FEW = 5; // frames in a row that must be late, each no less than the one before
const line = element.querySelector('.status');
let resumed = false;
let run = null;
let quickest = 0;
let late = []; // the lateness of the last frames
let since = 0; // a time of the server: frames sent before it precede the last request for fewer frames

// Frames that arrive faster than they are drawn would pile up, and delay the response to Stop.
function keepUp(frame) {
  const now = performance.now();
  const took = now - 1000 * frame.sent;
  if (frame.run !== run) [run, quickest, late, since] = [frame.run, took, [], 0];
  quickest = Math.min(quickest, took);
  if (frame.sent < since) return;
  late = [...late, took - quickest].slice(-FEW);
  if (late.length < FEW || Math.min(...late) < LATE || late[FEW - 1] < late[0]) return;
  [late, since] = [[], (now - quickest) / 1000];
  server.slower(run);
}

function draw() {
  const { kind = '', text = '', frame = null, resume = false } = props.value ?? {};
  line.textContent = text;
  line.dataset.kind = kind;
  if (frame) keepUp(frame);
  if (resume && !resumed) trigger('resume', {});
  resumed = resume;
}
watch('value', draw);
draw();
