// One line about the run on the page. value: {kind, text, frame: {run, sent}}; `frame` only while a
// run is followed, `sent` in seconds of a clock of the server. `resume` after a reload, where the run
// that the page followed goes on: the event of that name asks to follow it again. `again` where that
// run was lost with its server, of which each column shows so many tokens: the event of that name has
// this one write it. `stopped` where the server ended it because it stopped itself.
const LATE = 300; // milliseconds later than the quickest frame of the run: such a frame is late
const FEW = 5; // frames in a row that must be late, each no less than the one before
const line = element.querySelector('.status');
let resumed = false;
const ofRun = Boolean(element.closest('#line')); // else it is a line about something else
let begun = false; // whether the run that was lost is written again
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
  const { kind = '', text = '', frame = null, resume = false, again = null, stopped = false } = props.value ?? {};
  const away = ofRun ? playground.connection.away : '';
  line.textContent = away || text;
  line.dataset.kind = away ? 'running' : kind;
  if (away) return;
  if (ofRun) playground.connection.line({ kind, stopped });
  if (frame) keepUp(frame);
  if (resume && !resumed) trigger('resume', {});
  if (again && !begun) trigger('again', { setup: playground.connection.writing, stands: again });
  [resumed, begun] = [resume, Boolean(again)];
}
document.addEventListener('playground:connection', function hear() {
  if (element.isConnected) draw();
  else document.removeEventListener('playground:connection', hear);
});
watch('value', draw);
draw();
