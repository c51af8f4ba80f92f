/**
 * Sizes, times, numbers and scores as a person reads them. The server writes them by
 * `worker/formatting.py`; a test compares both on one table of values.
 */

const MORE = 30; // digits behind the last one shown, by which a tie is known

/** Return a number of bytes in binary units, as limits are set: `20 MiB`. */
export function binarySize(count) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  while (Math.abs(count) >= 1024 && units.length > 1) {
    count /= 1024;
    units.shift();
  }
  return `${fixed(count, 1).replace(/\.0$/, "")} ${units[0]}`;
}

/** Return a count with its thousands set apart: `62,378,344`. */
export function number(count) {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Return a score in percent where it is between 0 and 1, else in four digits. */
export function score(value) {
  if (value >= 0 && value <= 1) return `${fixed(value * 100, 1)}%`;
  const [digits, power] = evenTie(value.toExponential(3 + MORE), value.toExponential(3)).split("e");
  if (power >= -4 && power < 4) return String(Number(`${digits}e${power}`));
  return `${Number(digits)}e${power[0]}${power.slice(1).padStart(2, "0")}`;
}

/** Return a time span: `85 ms`, `2.4 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`. */
export function duration(seconds) {
  seconds = Math.max(0, seconds);
  if (seconds < 1) return `${fixed(seconds * 1000, 0)} ms`;
  if (seconds < 60) return `${fixed(seconds, seconds < 10 ? 1 : 0)} s`;
  const whole = Number(fixed(seconds, 0));
  for (const [span, unit, below, lower] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"]]) {
    if (whole >= span) return `${Math.floor(whole / span)} ${unit} ${Math.floor((whole % span) / below)} ${lower}`;
  }
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function fixed(value, digits) {
  return evenTie(value.toFixed(digits + MORE), value.toFixed(digits));
}

/**
 * Return `rounded`, but where the exact number lies in the middle between two, the one whose last
 * digit is even, as Python rounds; JavaScript takes the larger.
 */
function evenTie(exact, rounded) {
  const tie = exact.match(/^(.*[02468])(\.?)50{29}(e.*)?$/);
  return tie ? tie[1] + (tie[3] ?? "") : rounded;
}
