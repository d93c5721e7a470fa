import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { dirname } from 'node:path';

/** A server of the bed. `kill` goes to all its processes, so SIGSTOP and SIGCONT freeze and wake it as a whole. */
export interface Service {
    readonly name: string;
    readonly host: string;
    readonly port: number;
    readonly logFile: string;
    /** Ends it, forcibly when it does not end by itself, and waits until it is gone. */
    stop: () => Promise<void>;
    kill: (signal: NodeJS.Signals) => void;
}

/** How a child ended. */
export interface Exit {
    readonly code: number | null;
    readonly signal: NodeJS.Signals | null;
}

/** A child process with its own process group. */
export interface Child {
    readonly name: string;
    readonly pid: number;
    readonly process: ChildProcess;
    readonly logFile: string;
    /** Settles when the child has ended; never rejects. */
    readonly exited: Promise<Exit>;
    stop: () => Promise<void>;
    kill: (signal: NodeJS.Signals) => void;
}

export interface ChildOptions {
    readonly name: string;
    readonly command: string;
    readonly args: readonly string[];
    readonly logFile: string;
    readonly cwd?: string;
    readonly env?: NodeJS.ProcessEnv;
    /** How long a polite end may take before the whole group is killed, in ms. */
    readonly grace?: number;
}

const running = new Set<Child>();
let guarded = false;

/**
 * Starts a program as the leader of its own process group, its output appended to `logFile`.
 * It does not outlive us: its group is killed when we exit or are told to end, and should we be killed, the kernel
 * kills its leader (`setpriv --pdeathsig`, where there is one).
 */
export function startChild(options: ChildOptions): Child {
    guard();
    mkdirSync(dirname(options.logFile), { recursive: true });
    const log = openSync(options.logFile, 'a');
    const tied = existsSync('/usr/bin/setpriv');
    const child = spawn(
        tied ? '/usr/bin/setpriv' : options.command,
        tied ? ['--pdeathsig', 'KILL', '--', options.command, ...options.args] : options.args,
        { cwd: options.cwd, env: options.env ?? process.env, stdio: ['ignore', log, log], detached: true }
    );
    closeSync(log);

    let gone = false;
    const exited = new Promise<Exit>(resolve => {
        child.once('exit', (code, signal) => resolve({ code, signal }));
        // Without a pid there will be no exit.
        child.once('error', () => child.pid === undefined && resolve({ code: 127, signal: null }));
    });

    const kill = (signal: NodeJS.Signals): void => {
        // Without the test a group that nobody owns any more would be signalled, or pid 0: ourselves.
        if (child.pid === undefined || gone) return;
        signalGroup(child.pid, signal);
    };

    const handle: Child = {
        name: options.name,
        pid: child.pid ?? 0,
        process: child,
        logFile: options.logFile,
        exited,
        kill,
        async stop() {
            kill('SIGTERM');
            // A stopped process sees no SIGTERM.
            kill('SIGCONT');
            const timer = setTimeout(kill, options.grace ?? 5_000, 'SIGKILL');
            await exited;
            clearTimeout(timer);
            if (child.pid !== undefined) await groupGone(child.pid);
        }
    };
    running.add(handle);
    void exited.then(() => {
        // The leader is gone; what it left behind in its group goes too.
        if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL');
        gone = true;
        running.delete(handle);
    });
    return handle;
}

/**
 * Waits until `probe` succeeds, that is, until the child really answers.
 * @throws with the end of its log when the child ends first or `deadline` (ms) passes; the child is gone then
 */
export async function untilReady(child: Child, probe: () => Promise<unknown>, deadline = 20_000): Promise<void> {
    const until = Date.now() + deadline;
    let ended: Exit | undefined;
    void child.exited.then(exit => (ended = exit));
    for (;;) {
        let reason: unknown;
        try {
            await within(probe(), Math.max(1, until - Date.now()));
            return;
        } catch (error) {
            reason = error;
        }
        if (ended) throw failure(child, `ended with ${ended.signal ?? `code ${ended.code}`} before it answered`);
        if (Date.now() >= until) {
            child.kill('SIGKILL');
            await child.exited;
            throw failure(child, `did not answer within ${deadline} ms: ${(reason as Error).message}`);
        }
        // Servers do not tell when they listen; this is how often they are asked, not how long they get.
        await Promise.race([child.exited, new Promise(resolve => setTimeout(resolve, 25))]);
    }
}

/** A service made of one child. */
export function serviceOf(child: Child, host: string, port: number): Service {
    return { name: child.name, host, port, logFile: child.logFile, stop: child.stop, kill: child.kill };
}

/** Sends `request` over TCP and resolves with what came back as soon as `enough` says so. */
export function ask(host: string, port: number, request: string, enough: (reply: string) => boolean, timeout = 2_000): Promise<string> {
    return new Promise((resolve, reject) => {
        const socket = net.connect({ host, port, timeout });
        let reply = '';
        const fail = (error: Error): void => {
            socket.destroy();
            reject(error);
        };
        socket.on('connect', () => socket.write(request));
        socket.on('data', chunk => {
            reply += chunk.toString('latin1');
            if (!enough(reply)) return;
            socket.destroy();
            resolve(reply);
        });
        socket.on('timeout', () => fail(new Error(`no answer from ${host}:${port}`)));
        socket.on('error', fail);
        socket.on('close', () => reject(new Error(`${host}:${port} closed after ${JSON.stringify(reply)}`)));
    });
}

/** The last lines of a log, for messages. */
export function tailOf(file: string, lines = 25): string {
    if (!existsSync(file)) return '(no log)';
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
}

function failure(child: Child, what: string): Error {
    return new Error(`${child.name} ${what}\n${child.logFile}:\n${tailOf(child.logFile)}`);
}

function within<T>(promise: Promise<T>, ms: number): Promise<T> {
    let timer: NodeJS.Timeout;
    const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error('no answer')), ms);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A killed process may hold its port a moment longer, and somebody may want to listen there next. */
async function groupGone(pid: number): Promise<void> {
    const until = Date.now() + 2_000;
    while (Date.now() < until && livingIn(pid)) await new Promise(resolve => setTimeout(resolve, 5));
}

/** Whether a group has a member that still runs; one that only waits for its parent to notice holds nothing. */
function livingIn(group: number): boolean {
    return readdirSync('/proc').some(entry => {
        if (!/^\d+$/.test(entry)) return false;
        try {
            // pid (name) state parent group ...; the name may contain anything
            const [state, , id] = readFileSync(`/proc/${entry}/stat`, 'latin1').replace(/^.*\) /s, '').split(' ');
            return Number(id) === group && state !== 'Z' && state !== 'X';
        } catch {
            return false;
        }
    });
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
    try {
        process.kill(-pid, signal);
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
}

/** Children do not outlive us. A handler of ours must not change how a signal ends us, so it passes the signal on. */
function guard(): void {
    if (guarded) return;
    guarded = true;
    const killAll = (): void => running.forEach(child => child.kill('SIGKILL'));
    process.on('exit', killAll);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
        process.once(signal, () => {
            killAll();
            if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
        });
    }
}
