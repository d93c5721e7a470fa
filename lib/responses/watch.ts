/**
 * Rules that are taken up while the process runs. A set is used only when all of it is sound; until then, and after a
 * broken change, the last good one stays in force.
 */

import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { loadRules } from './load';
import type { RuleSet } from './rule-set';

/**
 * Files are looked at every so often rather than watched: that works on every file system, for editors that replace a file,
 * and for links that a deployment turns over.
 */
const LOOK_EVERY_MS = 2000;

/** What happened to a changed set of rules. */
export interface RuleNews {
    taken(rules: number): void;
    /** The set as it now stands is not used; `error` names file, rule and mend. */
    refused(error: string): void;
}

export class WatchedRules {
    private rules: RuleSet;
    private state: string;
    private timer: NodeJS.Timeout | undefined;

    /** @throws RuleError when the very first set is faulty: there is no good one to fall back on */
    constructor(
        private readonly dirs: readonly string[],
        private readonly news: RuleNews
    ) {
        this.state = fingerprint(dirs);
        this.rules = loadRules(dirs);
    }

    get current(): RuleSet {
        return this.rules;
    }

    /** Looks now and then, without keeping the process alive. */
    start(every = LOOK_EVERY_MS): void {
        this.timer ??= setInterval(() => this.look(), every).unref();
    }

    stop(): void {
        clearInterval(this.timer);
        this.timer = undefined;
    }

    /** Takes up what has changed since the last look. One change is told of once, good or bad. */
    look(): void {
        const state = fingerprint(this.dirs);
        if (state === this.state) {
            return;
        }
        this.state = state;
        try {
            this.rules = loadRules(this.dirs);
        } catch (err) {
            this.news.refused((err as Error).message);
            return;
        }
        this.news.taken(this.rules.rules.length);
    }
}

/** Names, times and sizes of the files; a directory that is not there at this moment has a state of its own. */
function fingerprint(dirs: readonly string[]): string {
    return dirs.map(dir => describe(dir)).join('\n');
}

function describe(dir: string): string {
    try {
        const names = readdirSync(dir).filter(name => name.endsWith('.toml')).sort();
        return names.map(name => `${name} ${stamp(join(dir, name))}`).join('\n');
    } catch (err) {
        return (err as NodeJS.ErrnoException).code ?? 'unreadable';
    }
}

function stamp(path: string): string {
    const { mtimeMs, size, ino } = statSync(path);
    return `${mtimeMs} ${size} ${ino}`;
}
