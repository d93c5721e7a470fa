/**
 * Which rspamd server gets a scan, and which gets none for a while. Decisions only: the clock and chance are handed in.
 *
 * - A scan goes to the less loaded of two servers drawn by weight. Less loaded means fewer scans under way for its weight.
 * - A server that cannot be reached is ejected at its first failure, another one after FAILURES in a row: a bad answer may be
 *   the message's fault, and every server would give it.
 * - An ejected server is asked for `/ping` after a pause. When it answers, it gets one real scan; after that verdict it is back.
 * - A scan that its server has not answered is doubled on another one, the first verdict counts. That is due when the server
 *   has answered nobody at all for SILENCE, or when the scan takes STUCK_FACTOR times as long as the group's slowest hundredth.
 *   The first try goes on: what merely takes long must not be started again and again. A server that is busy answers others
 *   meanwhile, so a busy group does not double its own load.
 * - Where two are silent for LONG_SILENCE one more is asked: they are frozen, or the message takes that long anywhere.
 * - A server that stayed silent until a later try had the verdict elsewhere, or until the time was over, has failed.
 * - With no server in, the ejected ones are asked all the same: a refusal costs nothing, and mail is not held up by a pause.
 */
export type MemberState = 'up' | 'half-open' | 'ejected';

/** `unreachable`: no connection; `broken`: no answer that rspamd gives; `slow`: no answer in time, or after a later try's. */
export type FailureKind = 'unreachable' | 'broken' | 'slow';

export interface Member {
    readonly url: string;
    readonly weight: number;
    state: MemberState;
    /** Scans under way. */
    outstanding: number;
    /** Failures since the last verdict. */
    failures: number;
    ejections: number;
    lastError: string;
    /** When the next ping is due. */
    pingAt: number;
    pause: number;
    lastAnswerAt: number;
    /** Milliseconds of the last verdicts. */
    latencies: number[];
}

/** A member as operators see it. */
export interface MemberStatus {
    url: string;
    weight: number;
    state: MemberState;
    outstanding: number;
    p50: number | null;
    p99: number | null;
    ejections: number;
    lastError: string;
}

const FAILURES = 3;
const FIRST_PAUSE = 500;
/** A server that is back is found within this time and one ping. */
const LONGEST_PAUSE = 2000;
const SILENCE = 500;
const LONG_SILENCE = 2000;
const STUCK_AT_LEAST = 1000;
const STUCK_FACTOR = 4;
const KEPT_LATENCIES = 200;

export class Group {
    readonly members: readonly Member[];

    constructor(
        servers: readonly { url: string; weight: number }[],
        private readonly now: () => number,
        private readonly random: () => number
    ) {
        this.members = servers.map(({ url, weight }) => ({
            url,
            weight,
            state: 'up',
            outstanding: 0,
            failures: 0,
            ejections: 0,
            lastError: '',
            pingAt: 0,
            pause: FIRST_PAUSE,
            lastAnswerAt: 0,
            latencies: []
        }));
    }

    /** The server for the next try of a scan that these have been tried for. Undefined: all have been. */
    pick(tried: readonly Member[]): Member | undefined {
        const left = this.members.filter(member => !tried.includes(member));
        // the one real scan after the ping; a scan that has failed once already goes where it is safe
        const back = left.find(member => member.state === 'half-open' && member.outstanding === 0);
        if (back && tried.length === 0) {
            return back;
        }
        const up = left.filter(member => member.state === 'up');
        return up.length > 0 ? this.lessLoaded(up) : (back ?? this.draw(left));
    }

    /** A try begins at a server. */
    begin(member: Member): void {
        member.outstanding++;
    }

    /** A verdict came after `ms`. */
    succeed(member: Member, ms: number): void {
        member.outstanding--;
        member.failures = 0;
        member.lastAnswerAt = this.now();
        member.latencies.push(ms);
        if (member.latencies.length > KEPT_LATENCIES) {
            member.latencies.shift();
        }
        member.state = 'up';
        member.pause = FIRST_PAUSE;
    }

    /** @returns whether this failure ejected the server */
    fail(member: Member, kind: FailureKind, error: string): boolean {
        member.outstanding--;
        member.failures++;
        member.lastError = error;
        const ejects = member.state === 'half-open' || (member.state === 'up' && (kind === 'unreachable' || member.failures >= FAILURES));
        if (ejects) {
            this.eject(member);
        }
        return ejects;
    }

    /**
     * A try that began at `since` is given up: the time is over, or another server had the verdict.
     *
     * @param blamed no verdict came, or a later try had it
     * @returns whether this ejected the server
     */
    giveUp(member: Member, since: number, blamed: boolean): boolean {
        if (blamed && this.silentSince(member, since) + SILENCE <= this.now()) {
            return this.fail(member, 'slow', `no answer in ${this.now() - since} ms`);
        }
        member.outstanding--;
        return false;
    }

    /** When one more server is to be asked, beside those that a scan waits for. Never empty, the first one first. */
    hedgeAt(tries: readonly { member: Member; since: number }[]): number {
        const [first] = tries;
        if (first && tries.length === 1) {
            return this.doubleAt(first.member, first.since);
        }
        return Math.max(...tries.map(({ member, since }) => this.silentSince(member, since) + LONG_SILENCE));
    }

    /** When a try that began at `since` is to be doubled on another server. */
    private doubleAt(member: Member, since: number): number {
        const slowest = percentile(this.members.flatMap(({ latencies }) => latencies), 0.99) ?? 0;
        return Math.min(this.silentSince(member, since) + SILENCE, since + Math.max(STUCK_AT_LEAST, STUCK_FACTOR * slowest));
    }

    /** Servers to ping now. Each is named once a pause. */
    duePings(): Member[] {
        const due = this.members.filter(member => member.state === 'ejected' && member.pingAt <= this.now());
        for (const member of due) {
            this.rest(member);
        }
        return due;
    }

    /** A server has answered its ping. */
    pinged(member: Member): void {
        if (member.state === 'ejected') {
            member.state = 'half-open';
        }
    }

    status(): MemberStatus[] {
        return this.members.map(({ url, weight, state, outstanding, ejections, lastError, latencies }) => ({
            url,
            weight,
            state,
            outstanding,
            p50: percentile(latencies, 0.5),
            p99: percentile(latencies, 0.99),
            ejections,
            lastError
        }));
    }

    private silentSince(member: Member, since: number): number {
        return Math.max(since, member.lastAnswerAt);
    }

    private eject(member: Member): void {
        member.state = 'ejected';
        member.ejections++;
        this.rest(member);
    }

    private rest(member: Member): void {
        // apart from each other: several processes watch the same servers
        member.pingAt = this.now() + member.pause * (0.8 + 0.4 * this.random());
        member.pause = Math.min(2 * member.pause, LONGEST_PAUSE);
    }

    private lessLoaded(members: readonly Member[]): Member | undefined {
        const one = this.draw(members);
        const other = this.draw(members.filter(member => member !== one));
        const load = (member: Member) => (member.outstanding + 1) / member.weight;
        return one && other && load(other) < load(one) ? other : one;
    }

    private draw(members: readonly Member[]): Member | undefined {
        let mark = this.random() * members.reduce((sum, { weight }) => sum + weight, 0);
        return members.find(({ weight }) => (mark -= weight) < 0) ?? members.at(-1);
    }
}

/** By nearest rank; null where there is nothing to rank. */
function percentile(values: readonly number[], share: number): number | null {
    const sorted = [...values].sort((one, other) => one - other);
    return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
}
