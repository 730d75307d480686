// Compare or Decide: one area of the page is shown at a time. The tab remembers which.
const buttons = [...element.querySelectorAll('button')];
function draw(area) {
  for (const button of buttons) {
    if (button.dataset.area === area) button.setAttribute('aria-current', 'page');
    else button.removeAttribute('aria-current');
  }
}
for (const button of buttons) button.addEventListener('click', () => playground.area.show(button.dataset.area));
playground.area.attach(draw);
