/** What others do, as far as their rule of choice and retry goes. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Reply } from '../../lib/delivery/types';
import type { PoolAddress } from '../../lib/pool/pool';
import { loadRules, packageRulesDir } from '../../lib/responses/load';
import { classify } from '../../lib/responses/match';
import { packageRoot } from '../../lib/settings/package-root';
import { deferTimes } from '../../lib/zonemta/host';
import { PROVIDERS } from './providers';
import type { Course, Departure, Next, Strategy, Surroundings } from './strategy';
import type { Message } from './traffic';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** The addresses of a pool that are not used at a provider for a time. */
class Suspended {
    private readonly until = new Map<string, number>();
    private left: readonly PoolAddress[];
    /** When `left` is no longer true. */
    private stale = Infinity;

    constructor(
        private readonly pool: readonly PoolAddress[],
        private readonly now: () => number
    ) {
        this.left = pool;
    }

    add(address: string, ms: number): void {
        this.until.set(address, this.now() + ms);
        this.stale = 0;
    }

    has(address: string): boolean {
        return this.now() < (this.until.get(address) ?? 0);
    }

    /** Those that may be used. */
    rest(): readonly PoolAddress[] {
        if (this.now() >= this.stale) {
            this.left = this.pool.filter(({ address }) => !this.has(address));
            this.stale = [...this.until.values()].reduce((first, until) => (until > this.now() ? Math.min(first, until) : first), Infinity);
        }
        return this.left;
    }
}

/** lib/bounces.js of ZoneMTA, with its own rules. */
interface Bounces {
    check(reply: string): { action: string; category: string };
}

/**
 * ZoneMTA 3.10.3 by itself. The address is crc32 of the delivery's id over those of the family that are not on its list for the
 * domain; IPv4 comes first wherever there is an A record. What config/bounces.txt calls `blacklist` puts the address on the list for
 * six hours (lib/sending-zone.js). Anything else that is temporary follows the schedule, from the same address.
 */
export class ZoneMta implements Strategy {
    private readonly bounces = createRequire(__filename)(join(packageRoot(), 'test/bed/hosts/zonemta-3.10.3/node_modules/zone-mta/lib/bounces.js')) as Bounces;
    private readonly verdicts = new Map<string, { action: string; category: string }>();
    private readonly schedule = deferTimes({});
    private readonly listed: ReadonlyMap<string, Suspended>;
    private readonly pool: readonly PoolAddress[];

    constructor({ pool, now }: Surroundings) {
        this.pool = pool.filter(({ family }) => family === 'ipv4');
        this.listed = new Map(PROVIDERS.map(({ key }) => [key, new Suspended(this.pool, now)]));
    }

    course({ id, provider: { key } }: Message): Course {
        const listed = this.listed.get(key) as Suspended;
        let deferred = 0;
        return {
            depart: async (): Promise<Departure> => {
                const left = listed.rest().length > 0 ? listed.rest() : this.pool;
                return { kind: 'from', address: left[Math.abs((crc32(`${id}.001`) | 0) % left.length)]?.address ?? '' };
            },
            refused: async (address, { text }): Promise<Next> => {
                const verdict = this.verdicts.get(text) ?? this.bounces.check(text);
                this.verdicts.set(text, verdict);
                const delay = this.schedule[deferred++];
                if (verdict.action === 'reject' || delay === undefined || (verdict.category === 'blacklist' && listed.rest().length === 0)) {
                    return { kind: 'bounce' };
                }
                if (verdict.category === 'blacklist') {
                    listed.add(address, 6 * HOUR);
                }
                return { kind: 'again', delay };
            },
            accepted: async () => undefined
        };
    }

    suspends(provider: string, { address }: PoolAddress): boolean {
        return this.listed.get(provider)?.has(address) ?? false;
    }

    async tidy(): Promise<void> {}
}

/**
 * The suspension of KumoMTA's shaping automation, for all providers: a refused source is suspended there for two hours, the message comes
 * back from another one (`retry_interval` 20 minutes, doubled each time; docs.kumomta.com, make_queue_config). KumoMTA would bounce on a 5xx; here a refusal that blames the address is
 * tried again, which is to its advantage. Classes of replies are this package's.
 */
export class KumoLike implements Strategy {
    private readonly rules = loadRules([packageRulesDir()]);
    private readonly blames = new Map<string, boolean>();
    private readonly suspended: ReadonlyMap<string, Suspended>;

    constructor(private readonly surroundings: Surroundings) {
        const { pool, now } = surroundings;
        this.suspended = new Map(PROVIDERS.map(({ key, ipv6 }) => [key, new Suspended(ipv6 === 'none' ? pool.filter(({ family }) => family === 'ipv4') : pool, now)]));
    }

    course({ at, provider: { key } }: Message): Course {
        const { random, now } = this.surroundings;
        const suspended = this.suspended.get(key) as Suspended;
        let delay = 10 * MINUTE;
        return {
            depart: async (): Promise<Departure> => {
                const left = suspended.rest();
                const drawn = left[Math.floor(random() * left.length)];
                return drawn ? { kind: 'from', address: drawn.address } : again();
            },
            refused: async (address, reply): Promise<Next> => {
                const blamed = this.isBlamed(reply, key);
                if (blamed) {
                    suspended.add(address, SUSPENSION);
                }
                return reply.code >= 500 && !blamed ? { kind: 'bounce' } : again();
            },
            accepted: async () => undefined
        };

        function again(): Next {
            delay *= 2;
            return now() - at > MAX_AGE ? { kind: 'bounce' } : { kind: 'again', delay };
        }
    }

    suspends(provider: string, { address }: PoolAddress): boolean {
        return this.suspended.get(provider)?.has(address) ?? false;
    }

    async tidy(): Promise<void> {}

    private isBlamed(reply: Reply, provider: string): boolean {
        const key = `${provider} ${reply.text}`;
        const known = this.blames.get(key) ?? ['ip-reputation', 'ip-rate', 'ip-ptr'].includes(classify(this.rules, reply, provider).class);
        this.blames.set(key, known);
        return known;
    }
}

/** As in KumoMTA's assets/policy-extras/shaping.toml for Yahoo. */
const SUSPENSION = 2 * HOUR;
/** KumoMTA's `max_age`. */
const MAX_AGE = 7 * 24 * HOUR;
