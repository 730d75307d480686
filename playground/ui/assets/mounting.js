// Hides the page while Gradio mounts it part by part: each part would move those that stand already.
(() => {
  const PARTS = [
    '#theme', '#facts .status', '#setup textarea', '.examples', '.chips', '#add',
    '#columns .strip', '#inspector .rows .line',
  ];
  const FONTS = ['16px "Source Sans Pro"', '700 16px "Source Sans Pro"', '16px "IBM Plex Mono"'];
  const STILL = 4; // frames in which nothing may be added
  const ENOUGH = 120; // such frames, whatever is missing then
  const LONGEST = 15000; // milliseconds from the first part on, whatever is added then
  const hidden = document.createElement('style');
  hidden.textContent = '#page { visibility: hidden; }';
  document.head.append(hidden);
  let since = 0;
  let still = 0; // frames in which nothing was added
  let size = 0; // elements that there were in the last one
  function look(now) {
    const page = document.getElementById('page');
    if (page) since ||= now;
    const before = size;
    size = page?.getElementsByTagName('*').length ?? 0;
    still = page && size === before ? still + 1 : 0;
    const stands = still >= STILL && PARTS.every((part) => page.querySelector(part))
      && FONTS.every((font) => document.fonts.check(font));
    if (stands || still >= ENOUGH || (since && now - since > LONGEST)) hidden.remove();
    else requestAnimationFrame(look);
  }
  requestAnimationFrame(look);
})();
