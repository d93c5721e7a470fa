/** What a refusal says of our address, looked up by ourselves in the sender that was refused: a provider's text alone makes nothing worse. */
import { getDomain } from 'tldts';
import { Lookups, type CheckResolver } from '../checks/dns';
import { isTooMuch } from '../checks/judge';
import { listingFinding } from '../checks/listing';
import { ptrFinding } from '../checks/names';
import type { PoolHealth } from '../health/pool-health';
import type { PoolAddress } from '../pool/pool';
import type { EventLog } from './log';
import { checkSuspension } from './self-checks';

/** The verdict about a delivery waits for the answers: so long for each of them. */
const ANSWERED_WITHIN = 2000;
/** The same list is asked for the same address once in this time, however many messages are refused for it. */
const ASKED_EVERY = 60_000;
const MAX_ASKED = 10_000;

export interface EvidenceOptions {
    resolver: CheckResolver;
    health: Pick<PoolHealth, 'checkedOut' | 'put'>;
    log: Pick<EventLog, 'event' | 'warn'>;
    now: () => number;
}

/** An address that a reply says is on a list. */
export interface Claim {
    zone: string;
    /** What the zone draws from. */
    pool: readonly PoolAddress[];
    address: string;
    /** DNS zone of the list. */
    list: string;
}

export class Evidence {
    private readonly asked = new Map<string, number>();

    constructor(private readonly options: EvidenceOptions) {}

    /** Does our own look-up agree with a provider that blames the PTR record? Without an answer it does not. */
    async lacksPtr(address: string): Promise<boolean> {
        return (await ptrFinding(new Lookups(this.options.resolver, ANSWERED_WITHIN), address)).result === 'failed';
    }

    /** Suspends an address at all providers when the list really has it. The rounds of main (self-checks.ts) end it. Never rejects. */
    async confirmListing({ zone, pool, address, list }: Claim): Promise<void> {
        const { resolver, health, log, now } = this.options;
        if (!this.mayAsk(`${list} ${address}`)) {
            return;
        }
        const { result, detail } = await listingFinding(new Lookups(resolver), address, list, 'global-list');
        const known = new Set(health.checkedOut().map(({ scope }) => scope));
        if (result !== 'failed' || known.has(address)) {
            return;
        }
        const isOut = (entry: Pick<PoolAddress, 'address'>) => entry.address === address || known.has(entry.address);
        if (isTooMuch(pool, isOut)) {
            log.warn('CHECK_DOUBTED', { check: 'global-list', zone, failing: pool.filter(isOut).length, of: pool.length }, zone);
            return;
        }
        const suspension = checkSuspension(address, detail, now(), now());
        try {
            await health.put(suspension);
            log.event('SUSPENDED', { provider: suspension.provider, scope: address, class: suspension.class, response: detail });
        } catch (err) {
            // the next refusal that names the list tries again
            log.warn('REDIS_AWAY', { error: (err as Error).message });
        }
    }

    private mayAsk(question: string): boolean {
        const now = this.options.now();
        const last = this.asked.get(question);
        if (last !== undefined && now - last < ASKED_EVERY) {
            return false;
        }
        if (this.asked.size >= MAX_ASKED) {
            this.asked.clear();
        }
        this.asked.set(question, now);
        return true;
    }
}

/** The list of `globalLists` that a reply means: replies name the zone, one beside it, or its owner's. */
export function globalListNamed(list: string | undefined, globalLists: readonly string[]): string | undefined {
    const owner = list === undefined ? null : getDomain(list);
    return globalLists.find(zone => zone === list || (owner !== null && getDomain(zone) === owner));
}
