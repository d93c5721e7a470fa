/** Asks a group of rspamd servers about a message, all of them within one time. Which server is asked: group.ts. */
import { setTimeout as sleep } from 'node:timers/promises';
import { oneLine } from '../delivery/state';
import type { Body } from '../zonemta/body';
import { Group, type Member, type MemberStatus } from './group';
import { failureKind, RspamdServer, type RspamdRequest, type ScanFacts } from './rspamd';
import { readAnswer, type Answer } from './verdict';

export type { ScanFacts };

export interface ScannerSettings extends RspamdRequest {
    servers: readonly string[];
    /** By URL; 1 for all others. */
    weights: Readonly<Record<string, number>>;
    /** For all tries of a message together, ms. */
    timeout: number;
}

export interface ScanResult {
    answer: Answer;
    server: string;
    ms: number;
    /** All servers that were asked, in order. */
    tried: string[];
}

/** No server gave a verdict. */
export class ScanUnavailable extends Error {
    override name = 'ScanUnavailable';

    constructor(
        message: string,
        readonly tried: string[]
    ) {
        super(message);
    }
}

export interface ScannerEvents {
    ejected(server: string, error: string): void;
    returned(server: string): void;
}

interface Try {
    member: Member;
    since: number;
    abort: AbortController;
    /** Never rejects. */
    settled: Promise<Settled>;
}

type Settled = { answer: Answer } | { error: Error };

const PING_EVERY = 100;

export class Scanner {
    private readonly group: Group;
    private readonly servers: ReadonlyMap<string, RspamdServer>;
    private readonly pinging: NodeJS.Timeout;

    constructor(
        private readonly settings: ScannerSettings,
        private readonly events: ScannerEvents,
        private readonly now: () => number,
        random: () => number
    ) {
        this.group = new Group(settings.servers.map(url => ({ url, weight: settings.weights[url] ?? 1 })), now, random);
        this.servers = new Map(settings.servers.map(url => [url, new RspamdServer(url)]));
        this.pinging = setInterval(() => this.pingEjected(), PING_EVERY).unref();
    }

    /**
     * Scans a message.
     *
     * @throws ScanUnavailable when no server gave a verdict in time; its message says what each one did, without secrets
     */
    async scan(facts: ScanFacts, body: Body): Promise<ScanResult> {
        const started = this.now();
        const deadline = started + this.settings.timeout;
        const running = new Set<Try>();
        const tried: Member[] = [];
        const failures: string[] = [];
        let verdictOf: Try | undefined;
        const names = () => tried.map(({ url }) => url);
        const begin = () => {
            const member = this.group.pick(tried);
            if (member) {
                tried.push(member);
                running.add(this.begin(member, facts, body));
            }
        };
        try {
            for (;;) {
                if (running.size === 0) {
                    begin();
                }
                if (running.size === 0) {
                    throw new ScanUnavailable(failures.join('; '), names());
                }
                // a server that answers somebody else meanwhile is not silent any more
                const hedgeAt = () => (tried.length < this.group.members.length ? this.group.hedgeAt([...running]) : Infinity);
                const first = await firstOf(running, Math.min(hedgeAt(), deadline) - this.now());
                if (first) {
                    running.delete(first.attempt);
                    const { member, since } = first.attempt;
                    if ('answer' in first.settled) {
                        verdictOf = first.attempt;
                        this.succeed(member, this.now() - since);
                        return { answer: first.settled.answer, server: member.url, ms: this.now() - started, tried: names() };
                    }
                    failures.push(this.fail(member, first.settled.error));
                } else if (this.now() >= deadline) {
                    throw new ScanUnavailable([...failures, `no verdict in ${this.settings.timeout} ms`].join('; '), names());
                } else if (hedgeAt() <= this.now()) {
                    begin();
                }
            }
        } finally {
            for (const { member, since, abort } of running) {
                abort.abort();
                if (this.group.giveUp(member, since, !verdictOf || since < verdictOf.since)) {
                    this.events.ejected(member.url, member.lastError);
                }
            }
        }
    }

    status(): MemberStatus[] {
        return this.group.status();
    }

    async close(): Promise<void> {
        clearInterval(this.pinging);
        await Promise.all([...this.servers.values()].map(server => server.close()));
    }

    private begin(member: Member, facts: ScanFacts, body: Body): Try {
        this.group.begin(member);
        const abort = new AbortController();
        const settled = this.ask(member, facts, body, abort.signal).then(
            answer => ({ answer }),
            (error: Error) => ({ error })
        );
        return { member, since: this.now(), abort, settled };
    }

    private async ask(member: Member, facts: ScanFacts, body: Body, signal: AbortSignal): Promise<Answer> {
        const server = this.servers.get(member.url) as RspamdServer;
        return readAnswer(await server.check(this.settings, facts, body, signal));
    }

    private succeed(member: Member, ms: number): void {
        const wasUp = member.state === 'up';
        this.group.succeed(member, ms);
        if (!wasUp) {
            this.events.returned(member.url);
        }
    }

    private fail(member: Member, err: Error): string {
        const error = oneLine(err.message || err.name, 200);
        if (this.group.fail(member, failureKind(err), error)) {
            this.events.ejected(member.url, error);
        }
        return `${member.url}: ${error}`;
    }

    private pingEjected(): void {
        for (const member of this.group.duePings()) {
            void this.servers.get(member.url)?.ping().then(there => there && this.group.pinged(member));
        }
    }
}

/** The first try that settles within `ms`, or undefined. */
async function firstOf(running: ReadonlySet<Try>, ms: number): Promise<{ attempt: Try; settled: Settled } | undefined> {
    const timer = new AbortController();
    const late = sleep(Math.max(0, ms), undefined, { signal: timer.signal }).catch(() => undefined);
    try {
        return await Promise.race([late, ...[...running].map(attempt => attempt.settled.then(settled => ({ attempt, settled })))]);
    } finally {
        timer.abort();
    }
}
