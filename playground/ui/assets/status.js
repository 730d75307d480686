// One line about the run on the page. value: {kind, text, frame: {run, sent}}; `frame` only while a
// run is followed: when this was sent, in seconds of the server's clock.
const LATE = 300; // milliseconds after what the quickest frame of the run took
const PATIENCE = 2000; // until the page may have caught up
const line = element.querySelector('.status');
let run = null;
let quickest = 0;
let asked = 0;

// Frames that come faster than they are drawn would pile up, and with them the answer to Stop.
function keepUp(frame) {
  const now = Date.now();
  const took = now - 1000 * frame.sent;
  if (frame.run !== run) [run, quickest, asked] = [frame.run, took, 0];
  quickest = Math.min(quickest, took);
  if (took - quickest < LATE || now - asked < PATIENCE) return;
  asked = now;
  server.slower(run);
}

function draw() {
  const { kind = '', text = '', frame = null } = props.value ?? {};
  line.textContent = text;
  line.dataset.kind = kind;
  if (frame) keepUp(frame);
}
watch('value', draw);
draw();
