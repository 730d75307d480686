// One line about the run on the page. value: {kind, text, frame: {run, sent}}; `frame` only while a
// run is followed: when this was sent, in seconds of a clock of the server's. `resume` where a run goes on that
// the page followed before it was loaded anew: it asks to follow it again, by the event of that name.
const LATE = 300; // milliseconds after what the quickest frame of the run took
const FEW = 5; // frames that must all be late, and no less so: one may be held up on its way
const line = element.querySelector('.status');
let resumed = false;
let run = null;
let quickest = 0;
let late = []; // by how much the last few were
let since = 0; // by the server's clock: what was sent earlier does not tell yet what asking changed

// Frames that come faster than they are drawn would pile up, and with them the answer to Stop.
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
