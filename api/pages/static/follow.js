/**
 * Following a job until it has ended: by its stream of events, or by asking again and again where
 * no stream is to be had.
 */

const WAIT_S = 20; // how long one question may be held by the server
const PAUSE_MS = 1000; // between two questions, where the server does not hold them
const TROUBLE_PAUSE_MS = 2000; // after an answer that may be better next time, or none at all

/** What the server says is wrong, as one sentence for a person. */
export class Problem extends Error {}

/** Whether nothing more will happen to a job. */
export function ended(job) {
  return ["succeeded", "failed", "cancelled"].includes(job.status);
}

/**
 * Return the sentence of a problem+json answer.
 *
 * @param {number} status - of the answer
 * @param {{detail?: string} | null} body - null where it is no JSON, so not from Permafrost itself
 */
export function sentence(status, body) {
  return body?.detail ?? `The server answered with status ${status} and no explanation.`;
}

/**
 * Follow a job and return it, as the API shows it, once it has ended.
 *
 * @param {{self: string, events: string}} links - of the job
 * @param {{status?: (status: string) => void, progress?: (progress: object) => void,
 *   log?: (line: string, step: object | null) => void}} [tell] - called with
 *   what happens meanwhile
 * @throws {Problem} where the job is gone
 */
export async function follow(links, tell = {}) {
  return (await byEvents(links.events, tell)) ?? (await byAsking(links.self, tell));
}

/** Return the ended job, or null where the stream is refused. A broken one is opened again. */
function byEvents(url, tell) {
  return new Promise((resolve) => {
    const source = new EventSource(url);
    const finish = (job) => {
      source.close();
      resolve(job);
    };
    source.addEventListener("status", (event) => tell.status?.(JSON.parse(event.data).status));
    source.addEventListener("log", (event) => {
      const { line, step } = JSON.parse(event.data);
      tell.log?.(line, step);
    });
    source.addEventListener("progress", (event) => tell.progress?.(JSON.parse(event.data)));
    source.addEventListener("end", (event) => finish(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) finish(null);
    });
  });
}

async function byAsking(url, tell) {
  const wait = tell.progress ? 1 : WAIT_S;
  for (;;) {
    const answer = await fetch(`${url}?wait=${wait}`, {
      headers: { Accept: "application/json" },
      cache: "no-store",
    }).catch(() => null);
    if (answer?.ok) {
      const job = await answer.json();
      if (ended(job)) return job;
      tell.status?.(job.status);
      tell.progress?.(job.progress);
      await pause(PAUSE_MS);
    } else if (answer && answer.status < 500 && answer.status !== 429) {
      throw new Problem(sentence(answer.status, await answer.json().catch(() => null)));
    } else {
      await pause(TROUBLE_PAUSE_MS);
    }
  }
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
