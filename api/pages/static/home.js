/**
 * The page that takes photographs: shows one as soon as it is chosen, dropped or pasted, sends it,
 * and draws the prediction in place. Without this script the same form leads to the job's page.
 */

import { droppedFiles, sendBatch } from "./batch.js";
import { showCopyButtons } from "./copy.js";
import { binarySize, duration, number, score as scoreText } from "./format.js";
import { Problem, ended, follow, sentence } from "./follow.js";

const WAIT_S = 5; // how long the server may hold its answer; then the page says what it waits for
const MOST_SHOTS = 60; // earlier photographs that are kept in view
const MOST_BARS = 100; // of the labels that were asked for

const byId = (id) => document.getElementById(id);
const form = byId("classify");
const input = byId("image");
const button = byId("submit");
const title = document.title;

let current = null; // the run that the page shows

/**
 * One photograph on its way through the queue.
 *
 * @typedef {object} Run
 * @property {File} file
 * @property {string} url - of the photograph, local to this page
 * @property {string} model
 * @property {string} top - how many labels are asked for
 * @property {HTMLElement} card - its place among the earlier ones
 * @property {{file: File, path: string}[] | null} batch - the files it is the first of
 * @property {"working" | "done" | "failed"} state
 * @property {string} says - what happens to it, or what went wrong
 * @property {object | null} job - as the API shows it
 */

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (button.getAttribute("aria-disabled") === "true") return;
  const file = current?.file ?? input.files[0];
  if (current?.batch) classifyBatch(current.batch);
  else if (file) run(file);
});

// What is assumed of the chosen model, which a browser may have chosen again by itself.
const select = byId("model");
const showAssumption = () => {
  for (const option of select.options) {
    if (option.dataset.assumed) byId(option.dataset.assumed).hidden = !option.selected;
  }
};
select.addEventListener("change", showAssumption);
window.addEventListener("pageshow", showAssumption);

// A browser tells of no change where the same file is chosen again.
input.addEventListener("click", () => (input.value = ""));

input.addEventListener("change", () => {
  if (input.files.length) run(input.files[0]);
});

// Anywhere on the page: a photograph dropped beside the field would replace the page otherwise.
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    byId("drop").classList.add("drop--over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) byId("drop").classList.remove("drop--over");
});
document.addEventListener("drop", (event) => {
  byId("drop").classList.remove("drop--over");
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  take(event.dataTransfer);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) take(event.clipboardData);
});

/**
 * Classify what was dropped or pasted: one photograph in place, many or a folder as a batch.
 *
 * The form's own field is emptied, because it must not show another than is in view.
 */
async function take(data) {
  const named = data.files[0];
  input.value = "";
  try {
    const files = await droppedFiles(data);
    if (files.length === 1) await run(files[0].file);
    else if (files.length) await classifyBatch(files);
    else throw new Problem(`There are no files in ${named?.name ?? "what was dropped"}.`);
  } catch (error) {
    fail(start(new File([], named?.name ?? "nothing")), error);
  }
}

/** Send files as a batch and go to its page. */
async function classifyBatch(files) {
  const started = start(files[0].file);
  started.batch = files;
  const { model, top } = started;
  try {
    const job = await sendBatch(files, { home: form.action, model, top }, (words) => say(started, words));
    location.assign(pageOf(job));
  } catch (error) {
    fail(started, error);
  }
}

async function run(file) {
  const started = start(file);
  try {
    const limit = Number(form.dataset.maxBytes);
    if (file.size > limit) {
      throw new Problem(
        `The photograph has ${binarySize(file.size)}; at most ${binarySize(limit)} are accepted.`,
      );
    }
    let job = await send(started);
    started.job = job;
    if (!ended(job)) {
      say(started, "Waiting for a worker…");
      job = await follow(job.links, {
        status: (status) => say(started, status === "running" ? "Working on it…" : "Waiting for a worker…"),
      });
      started.job = job;
    }
    if (job.status !== "succeeded") {
      throw new Problem(job.error?.message ?? "The job was cancelled.");
    }
    started.state = "done";
    show(started);
  } catch (error) {
    fail(started, error);
  }
}

function fail(started, error) {
  started.state = "failed";
  started.says = error instanceof Problem ? error.message : "Something went wrong on this page.";
  if (!(error instanceof Problem)) console.error(error);
  show(started);
}

/** Return a new run and give it the page; the one before moves to the earlier ones. */
function start(file) {
  const card = byId("card-template").content.firstElementChild.cloneNode(true);
  const started = {
    file,
    url: URL.createObjectURL(file),
    model: byId("model").value,
    top: byId("top").value,
    card,
    batch: null,
    state: "working",
    says: "Sending…",
    job: null,
  };
  const image = card.querySelector("img");
  image.src = started.url;
  image.alt = file.name;
  if (current) {
    byId("visit").hidden = false;
    byId("visit-list").prepend(current.card);
    forgetOldest();
  }
  current = started;
  input.required = false; // the button classifies what is in view
  showPhotograph(started);
  show(started);
  return started;
}

function forgetOldest() {
  const list = byId("visit-list");
  if (list.children.length <= MOST_SHOTS) return;
  URL.revokeObjectURL(list.lastElementChild.querySelector("img").src);
  list.lastElementChild.remove();
}

/**
 * Send the photograph as the form would and return the job.
 *
 * An XMLHttpRequest, because `fetch` does not tell how much of an upload is sent.
 */
function send(started) {
  const fields = new FormData();
  fields.set("image", started.file);
  fields.set("model", started.model);
  fields.set("top", started.top);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.responseType = "json"; // null where it is something else
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("Prefer", `wait=${WAIT_S}`);
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      say(started, loaded < total ? `Sending, ${Math.round((loaded / total) * 100)}%…` : "Classifying…");
    });
    request.addEventListener("load", () => {
      const { status, response } = request;
      if ((status === 200 || status === 202) && response?.links) resolve(response);
      else reject(new Problem(sentence(status, response)));
    });
    request.addEventListener("error", () => {
      reject(new Problem("The server did not answer. Check that it runs, then try again."));
    });
    request.send(fields);
  });
}

function say(started, words) {
  started.says = words;
  show(started);
}

/** Draw a run where it stands: in full where it is the current one, and on its card. */
function show(started) {
  const verdict = started.card.querySelector(".shot__verdict");
  const link = started.card.querySelector(".shot__link");
  verdict.classList.toggle("shot__verdict--error", started.state === "failed");
  verdict.textContent = headline(started);
  link.hidden = !started.job;
  if (started.job) link.href = pageOf(started.job);
  if (started === current) showCurrent(started);
}

function showCurrent(started) {
  const working = started.state === "working";
  byId("result").setAttribute("aria-busy", String(working));
  byId("working").hidden = !working;
  button.setAttribute("aria-disabled", String(working));
  button.textContent = working ? "Classifying…" : "Classify again";

  const verdict = byId("verdict");
  verdict.className = { working: "verdict verdict--idle", failed: "verdict verdict--error", done: "verdict" }[started.state];
  if (started.state === "done") {
    const best = started.job.result.predictions[0];
    const score = document.createElement("span");
    score.className = "verdict__score";
    score.textContent = scoreText(best.score);
    verdict.replaceChildren(best.label, " ", score);
    document.title = `${headline(started)} · Permafrost`;
    verdict.scrollIntoView({ block: "nearest" });
  } else {
    if (verdict.textContent !== started.says) verdict.textContent = started.says;
    document.title = title;
  }
  byId("outcome").replaceChildren(...(started.job ? [outcome(started)] : []));
}

/** Return the bars, the facts and the URL of a run's job. */
function outcome({ job, state }) {
  const drawn = byId("outcome-template").content.cloneNode(true);
  const bars = drawn.querySelector(".bars");
  const predictions = state === "done" ? job.result.predictions : [];
  if (state === "done") bars.append(...predictions.slice(0, MOST_BARS).map(bar));
  else bars.remove();
  const more = drawn.querySelector("[data-more]");
  more.hidden = predictions.length <= MOST_BARS;
  more.textContent = `and ${number(predictions.length - MOST_BARS)} more in the job as JSON.`;
  drawn.querySelector("[data-facts]").textContent = facts(job);
  drawn.querySelector(".address__url").value = pageOf(job);
  drawn.querySelector("[data-job-page]").href = pageOf(job);
  drawn.querySelector("[data-job-json]").href = job.links.self;
  showCopyButtons(drawn);
  return drawn;
}

function bar({ label, score }) {
  const row = byId("row-template").content.firstElementChild.cloneNode(true);
  row.title = `${label}: ${score}`;
  row.querySelector(".bars__label").textContent = label;
  row.querySelector(".bars__score").textContent = scoreText(score);
  row.querySelector(".bar__fill").setAttribute("width", `${Math.min(Math.max(score, 0), 1) * 100}%`);
  return row;
}

function facts(job) {
  const model = `${job.model.name}@${job.model.version}`;
  if (!job.started_at || !job.finished_at) return model;
  const [created, started, finished] = [job.created_at, job.started_at, job.finished_at].map(Date.parse);
  return `${model}, waited ${between(created, started)}, ran for ${between(started, finished)}`;
}

/** The time from one moment to another, both in milliseconds, as a person reads it. */
function between(begin, end) {
  return duration((end - begin) / 1000);
}

function headline({ state, says, job }) {
  if (state !== "done") return says;
  const best = job.result.predictions[0];
  return `${best.label} ${scoreText(best.score)}`;
}

/** The address of a job's page, below the form's own. */
function pageOf(job) {
  return new URL(`jobs/${job.id}`, form.action).href;
}

function showPhotograph({ file, url }) {
  const preview = byId("preview");
  const name = byId("name");
  byId("drop").classList.add("drop--filled");
  byId("again").hidden = false;
  preview.hidden = false;
  preview.alt = `The photograph ${file.name}`;
  preview.src = url;
  name.hidden = true;
  preview.onerror = () => {
    preview.hidden = true;
    name.hidden = false;
    name.textContent = file.name;
  };
}
