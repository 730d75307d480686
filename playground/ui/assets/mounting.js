// Hides the page while Gradio mounts it part by part: each part would move those that stand already.
(() => {
  const PARTS = [
    '#theme', '#facts .status', '#setup textarea', '.examples', '.chips', '#add',
    '#columns .strip', '#inspector .rows .line',
  ];
  const FONTS = ['16px "Source Sans Pro"', '700 16px "Source Sans Pro"', '16px "IBM Plex Mono"'];
  const STILL = 4; // frames in which nothing may be added
  const LONGEST = 5000; // milliseconds from the first part on, whatever is missing then
  const hidden = document.createElement('style');
  hidden.textContent = '#page { visibility: hidden; }';
  document.head.append(hidden);
  let since = 0;
  let still = 0; // frames in which all stood
  let size = 0; // elements that there were in the last one
  function look(now) {
    const page = document.getElementById('page');
    if (page) since ||= now;
    const stands = page && PARTS.every((part) => page.querySelector(part))
      && FONTS.every((font) => document.fonts.check(font));
    const before = size;
    size = page?.getElementsByTagName('*').length;
    still = stands && size === before ? still + 1 : 0;
    if (still === STILL || (since && now - since > LONGEST)) hidden.remove();
    else requestAnimationFrame(look);
  }
  requestAnimationFrame(look);
})();
