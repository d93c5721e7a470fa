import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A step that failed: what, with which command, and what the reader can do about it. */
export class SetupError extends Error {
    constructor(what, { command = '', output = '', mend = '' } = {}) {
        super(what);
        this.command = command;
        this.output = output;
        this.mend = mend;
    }
}

/** One line for a step that really did something. */
export function say(line) {
    process.stdout.write(`setup: ${line}\n`);
}

/** Prints a failure the way a person wants to read it. */
export function report(error) {
    const lines = [`setup: FAILED: ${error.message}`];
    if (!(error instanceof SetupError)) lines.push(error.stack);
    if (error.command) lines.push(`  command: ${error.command}`);
    if (error.output) lines.push(tail(error.output, 40).replace(/^/gm, '  | '));
    if (error.mend) lines.push(`  mend: ${error.mend}`);
    process.stderr.write(`${lines.join('\n')}\n`);
}

/**
 * Runs a command to its end without a terminal and without input.
 * @returns what it wrote; a SetupError when it fails or outlives `timeout` (ms)
 */
export function run(command, args, { cwd, env = process.env, timeout = 0, what, mend } = {}) {
    const shown = [command, ...args].join(' ');
    return new Promise((resolve, reject) => {
        const child = spawn(command, args, { cwd, env, timeout, killSignal: 'SIGKILL', stdio: ['ignore', 'pipe', 'pipe'] });
        let output = '';
        let stdout = '';
        child.stdout.on('data', chunk => {
            stdout += chunk;
            output += chunk;
        });
        child.stderr.on('data', chunk => (output += chunk));
        child.on('error', error => reject(new SetupError(what ?? `cannot run ${command}`, { command: shown, output: error.message, mend })));
        child.on('close', (code, signal) => {
            if (code === 0) return resolve(stdout);
            const how = signal ? `ended by ${signal}` : `exit code ${code}`;
            reject(new SetupError(`${what ?? command} (${how})`, { command: cwd ? `cd ${cwd} && ${shown}` : shown, output, mend }));
        });
    });
}

/** The full path of a program, or undefined. Daemons live in sbin, which an ordinary user's PATH lacks. */
export function which(program) {
    const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
    return folders
        .filter(Boolean)
        .map(folder => join(folder, program))
        .find(isExecutable);
}

/** Whether `path` is a file that may be executed. */
export function isExecutable(path) {
    try {
        accessSync(path, constants.X_OK);
        return statSync(path).isFile();
    } catch {
        return false;
    }
}

function tail(text, count) {
    return text.trimEnd().split('\n').slice(-count).join('\n');
}
