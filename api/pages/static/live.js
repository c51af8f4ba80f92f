/** Keeps the page of a job, and the rows of a list of jobs, as the server would show them now. */

import { showCopyButtons } from "./copy.js";
import { follow } from "./follow.js";
import { number } from "./format.js";

const ROWS_MS = 1500; // between two looks at the rows of jobs that have not ended

const shown = document.getElementById("job");

if (shown) {
  showCopyButtons(shown);
  if (shown.dataset.events) {
    const tell = { status: showStatus, progress: showProgress, log: appender() };
    await follow(shown.dataset, tell).catch(() => null);
    await showNow();
  }
} else if (document.querySelector("[data-live-row]")) {
  setTimeout(showRows, ROWS_MS);
}

/** The elements that show one thing about the job, by its name. */
function live(name) {
  return shown.querySelector(`[data-live="${name}"]`);
}

function showStatus(status) {
  if (status === "running" && shown.dataset.status === "queued") {
    const badge = shown.querySelector(".job__header .status");
    badge.className = "status status--running";
    badge.textContent = status;
    shown.dataset.status = status;
    if (live("says")) live("says").textContent = "Working on it…";
  }
}

/** Show how many images of a batch have ended. */
function showProgress(progress) {
  if (!live("total")) return;
  for (const name of ["total", "succeeded", "failed"]) live(name).textContent = number(progress[name]);
  const done = progress.succeeded + progress.failed;
  if (done) showBar(done, progress.total);
}

function showBar(value, max) {
  const bar = live("bar");
  if (!bar) return;
  bar.max = max;
  bar.value = value;
  bar.hidden = false;
  live("working").hidden = true;
}

/** Return a function that appends a line to the log, passing over those that the page came with. */
function appender() {
  const log = document.getElementById("log");
  let known = Number(log?.dataset.lines ?? 0);
  return (line, step) => {
    if (!log || known-- > 0) return;
    if (step && live("says")) {
      live("says").textContent = `Step ${step.number} of ${step.of}: ${step.name}…`;
      showBar(step.number, step.of);
    }
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const item = document.createElement("li");
    item.textContent = line;
    log.append(item);
    if (atEnd) log.scrollTop = log.scrollHeight;
  };
}

/** Take the page over as the server shows it now. Where the job is gone, that is the page to see. */
async function showNow() {
  const page = await fresh();
  if (!page) {
    location.reload();
    return;
  }
  const job = page.getElementById("job");
  document.title = page.title;
  document.getElementById("job").replaceWith(job);
  showCopyButtons(job);
  document.getElementById("announcement").textContent =
    job.querySelector("[data-announcement]")?.textContent ?? "";
}

/** Take the rows of jobs that have not ended over as the server shows them now, again and again. */
async function showRows() {
  const page = document.hidden ? null : await fresh();
  for (const row of page ? document.querySelectorAll("[data-live-row]") : []) {
    const now = page.querySelector(`[data-job="${row.dataset.job}"]`);
    if (now && now.innerHTML !== row.innerHTML && !row.contains(document.activeElement)) row.replaceWith(now);
  }
  if (document.querySelector("[data-live-row]")) setTimeout(showRows, ROWS_MS);
}

/** Return this page as the server shows it now, or null where it does not. */
async function fresh() {
  const answer = await fetch(location.href, { cache: "no-store" }).catch(() => null);
  return answer?.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
}
