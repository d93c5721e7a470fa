/**
 * The rounds of checks of all pool addresses, in main: at the start, every ten minutes, and when the operator asks. What DNS says
 * against an address becomes a suspension at all providers, so the other processes learn it as they learn every suspension,
 * and what was known holds while Redis is away. What only this host can tell (bindable, route) each sender sees for itself.
 */
import { hostname } from 'node:os';
import { Lookups, type CheckResolver } from '../checks/dns';
import { HOST_CHECKS, withLast, type Finding, type Findings } from '../checks/finding';
import { judge, type Doubt } from '../checks/judge';
import { checkHost, checkWorld } from '../checks/self-check';
import type { PoolHealth } from '../health/pool-health';
import { EVERYWHERE, type Suspension } from '../health/suspension';
import type { PoolAddress } from '../pool/pool';
import type { Settings } from '../settings/parse';
import type { EventLog } from './log';
import { CHECK_EVERY } from './pools';

/** A suspension by a check ends by itself when no round has confirmed it for so long: main is gone, or DNS is. */
const HOLDS_FOR = 24 * 3_600_000;
/** It is renewed when half of that is over, so that a round without news costs nothing. */
const RENEW_BEFORE = HOLDS_FOR / 2;
/** Failings that are told one by one in a round, and shown in /status. */
const MAX_TOLD = 200;

/** A failing address, as the operator sees it. */
export interface Failing {
    address: string;
    check: Finding['check'];
    detail: string;
    /** Not drawn; the others are only named. */
    leftOut: boolean;
}

export interface ChecksStatus {
    /** End of the last round, Unix ms; null before the first one. */
    at: number | null;
    running: boolean;
    /** All that fail; the list is cut. */
    count: number;
    failing: Failing[];
    /** Checks that would leave out too much, and leave out none. */
    doubted: readonly Doubt[];
    /** Lists that did not answer as lists do. */
    silentLists: readonly string[];
}

export interface SelfCheckOptions {
    settings: Settings;
    pools: () => ReadonlyMap<string, readonly PoolAddress[]>;
    resolver: CheckResolver;
    health: PoolHealth;
    log: EventLog;
    /** Told of a bug of ours. */
    fault: (err: Error) => void;
    now: () => number;
}

export class SelfChecks {
    private findings: Findings = new Map();
    private out: ReadonlyMap<string, Finding> = new Map();
    private doubted: readonly Doubt[] = [];
    private silentLists: readonly string[] = [];
    private at: number | null = null;
    private running: Promise<void> | undefined;
    private timer: NodeJS.Timeout | undefined;

    constructor(private readonly options: SelfCheckOptions) {}

    /** Begins the first round, and keeps making them. Nothing waits for it. */
    start(): void {
        void this.round();
        this.timer = setInterval(() => void this.round(), CHECK_EVERY).unref();
    }

    stop(): void {
        clearInterval(this.timer);
    }

    /** Makes a round now, or joins the one that is under way. Never rejects. */
    round(): Promise<void> {
        this.running ??= this.check()
            .catch((err: unknown) => this.options.fault(err as Error))
            .finally(() => (this.running = undefined));
        return this.running;
    }

    /** What fails of an address. */
    of(address: string): Failing[] {
        const leftOut = this.isOut(address);
        return (this.findings.get(address) ?? []).flatMap(({ check, result, detail }) => (result === 'failed' ? [{ address, check, detail, leftOut: leftOut === check }] : []));
    }

    status(): ChecksStatus {
        const failing = [...this.findings.keys()].flatMap(address => this.of(address));
        return {
            at: this.at,
            running: this.running !== undefined,
            count: failing.length,
            failing: failing.slice(0, MAX_TOLD),
            doubted: this.doubted,
            silentLists: this.silentLists
        };
    }

    /** The check that keeps an address out; undefined: it is drawn. */
    private isOut(address: string): Finding['check'] | undefined {
        return this.out.get(address)?.check;
    }

    private async check(): Promise<void> {
        const { settings, resolver, health, log, now } = this.options;
        const { shared, reputation, randomIp } = settings;
        const pools = randomIp ? this.options.pools() : new Map<string, readonly PoolAddress[]>();
        const pool = [...new Map([...pools.values()].flat().map(entry => [entry.address, entry])).values()];
        const suspended = new Set(health.checkedOut().map(({ scope }) => scope));
        const host = await checkHost(pool.map(({ address }) => address));
        const world = await checkWorld(pool, {
            lookups: new Lookups(resolver),
            dnsbl: shared.dnsbl,
            // asked for what a provider has named before: to find out whether it is over
            globalLists: address => (suspended.has(address) ? (reputation?.globalLists ?? []) : []),
            hostName: hostname()
        });
        const fresh: Findings = new Map(pool.map(({ address }) => [address, [...(host.get(address) ?? []), ...(world.get(address) ?? [])]]));
        const findings = withLast(fresh, this.findings);
        const { out, undecided, doubted } = judge(pools, findings, [...shared.leaveOut, 'global-list']);
        this.tell(findings, doubted);
        [this.findings, this.out, this.doubted, this.at] = [findings, out, doubted, now()];
        this.silentLists = [...new Set([...world.values()].flat().flatMap(({ list, result }) => (list !== '' && result === 'unknown' ? [list] : [])))];
        if (!shared.shadow) {
            await this.suspend(pool, { fresh, undecided, before: suspended }).catch((err: unknown) => log.warn('REDIS_AWAY', { error: (err as Error).message }));
        }
    }

    /** Brings the suspensions in line with what was found. @throws Error when Redis does not take it: the next round tries again */
    private async suspend(pool: readonly PoolAddress[], { fresh, undecided, before }: { fresh: Findings; undecided: ReadonlySet<string>; before: ReadonlySet<string> }): Promise<void> {
        const { health, log, now } = this.options;
        const known = new Map(health.checkedOut().map(suspension => [suspension.scope, suspension]));
        for (const { address } of pool) {
            const [suspension, found] = [known.get(address), this.out.get(address)];
            if (found && HOST_CHECKS.includes(found.check)) {
                continue;
            }
            if (found) {
                const isFresh = fresh.get(address)?.some(({ check, list, result }) => check === found.check && list === found.list && result === 'failed');
                if (isFresh && (!suspension || suspension.until - now() < RENEW_BEFORE || suspension.note !== found.detail)) {
                    await health.put(checkSuspension(address, found.detail, suspension?.struck ?? now(), now()));
                }
            } else if (suspension && before.has(address) && !undecided.has(address)) {
                // one that came during the round has not been asked for
                await health.lift(EVERYWHERE, address);
                log.event('RESUMED', { provider: EVERYWHERE, scope: address, reason: 'check' });
            }
        }
    }

    /** What has changed, once. */
    private tell(findings: Findings, doubted: readonly Doubt[]): void {
        const { log } = this.options;
        const [before, after] = [failures(this.findings), failures(findings)];
        const begun = [...after].filter(([key]) => !before.has(key)).slice(0, MAX_TOLD);
        const over = [...before].filter(([key]) => !after.has(key)).slice(0, MAX_TOLD);
        begun.forEach(([, { address, check, detail }]) => log.event('CHECK_FAILED', { address, check, error: detail }));
        over.forEach(([, { address, check }]) => log.event('CHECK_PASSED', { address, check }));
        for (const { check, zone, failing, of } of doubted) {
            if (!this.doubted.some(known => known.check === check && known.zone === zone)) {
                log.event('CHECK_DOUBTED', { check, zone, failing, of });
            }
        }
    }
}

/** An address that DNS speaks against is not used anywhere. */
export function checkSuspension(address: string, note: string, since: number, now: number): Suspension {
    return { provider: EVERYWHERE, scope: address, class: 'check', code: 0, strikes: 0, struck: since, until: now + HOLDS_FOR, probing: 0, note };
}

function failures(findings: Findings): Map<string, Finding & { address: string }> {
    const failed = [...findings].flatMap(([address, all]) => all.filter(({ result }) => result === 'failed').map(found => ({ ...found, address })));
    return new Map(failed.map(found => [`${found.address} ${found.check} ${found.list}`, found]));
}
