/**
 * The other side: what each provider knows of our addresses, and what it says. It sees attempts, nothing else, and the same
 * attempts get the same answers: what is not our doing comes from the seed.
 */
import type { Reply } from '../../lib/delivery/types';
import type { PoolAddress } from '../../lib/pool/pool';
import { EVENTS, GREYLISTED, HABITS, PROVIDERS, type ProviderModel } from './providers';
import { fate, type Message } from './traffic';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** A number that loses half of its value in a given time. */
class Fading {
    private value = 0;
    private at = 0;

    constructor(private readonly halfLife: number) {}

    add(amount: number, now: number): number {
        this.value = this.value * 0.5 ** ((now - this.at) / this.halfLife) + amount;
        this.at = now;
        return this.value;
    }

    clear(): void {
        this.value = 0;
    }
}

/** What is judged as one: an IPv4 address, and an IPv6 one or its /64. */
interface Unit {
    name: string;
    /** How much more than a single address it may do. */
    allowance: number;
    points: Fading;
    blockedUntil: number;
    /** Refused attempts in this block, and blocks so far. */
    refused: number;
    blocks: number;
    /** Attempts that an address in its place might still make, and when that was. */
    tokens: number;
    tokensAt: number;
}

interface Range {
    /** All attempts, and those from what was blocked. */
    attempts: Fading;
    pressure: Fading;
    complaints: Fading;
    blockedUntil: number;
    /** Greylisting: how often it has passed, and since when which sender and recipient wait. */
    passes: number;
    waiting: Map<string, number>;
}

interface Provider {
    model: ProviderModel;
    units: ReadonlyMap<string, Unit>;
    ranges: ReadonlyMap<string, Range>;
    /** What an address belongs to. */
    places: ReadonlyMap<string, { unit: Unit; range: Range; isIPv6: boolean }>;
}

/** What the world has counted. */
export interface Damage {
    /** Ranges blocked for too many refused attempts, or for complaints. */
    widened: number;
    complaints: number;
    /** Addresses (or /64) blocked for what came from them. */
    blocks: number;
    /** Attempts from what was blocked. */
    knocks: number;
}

export type Standing = 'welcome' | 'limited' | 'blocked';

export class World {
    readonly damage: Damage = { widened: 0, complaints: 0, blocks: 0, knocks: 0 };
    private readonly providers: ReadonlyMap<string, Provider>;

    constructor(
        private readonly seed: number,
        pool: readonly PoolAddress[],
        private readonly begin: number,
        private readonly length: number
    ) {
        this.providers = new Map(PROVIDERS.map(model => [model.key, this.provider(model, pool)]));
    }

    /** Blocks that are not our doing: a random time each, as a stranger's use of the network or an old listing would have it. */
    inherited(): { at: number; provider: string; address: string }[] {
        return [...this.providers.values()].flatMap(({ model, units }) =>
            [...units.keys()].flatMap(name => {
                const joins = (model.inheritedDaily * this.length) / DAY;
                const draw = fate(this.seed, 'inherited', model.key, name);
                if (draw < model.inherited) {
                    return [{ at: this.begin, provider: model.key, address: name }];
                }
                return draw < model.inherited + joins ? [{ at: this.begin + ((draw - model.inherited) / joins) * this.length, provider: model.key, address: name }] : [];
            })
        );
    }

    inherit(key: string, name: string, now: number): void {
        const provider = this.provider_(key);
        const unit = provider.units.get(name);
        if (unit) {
            this.block(provider, unit, now);
        }
    }

    /** @returns the refusal; undefined: accepted */
    attempt(message: Message, address: string, refusals: number, now: number): Reply | undefined {
        const provider = this.provider_(message.provider.key);
        const { model } = provider;
        const place = provider.places.get(address);
        if (!place) {
            throw new Error(`${address} is no address of the pool`);
        }
        const { unit, range, isIPv6 } = place;
        if (this.isHappening(EVENTS.refusesAll, model, now) || (isIPv6 && this.isHappening(EVENTS.refusesIPv6, model, now))) {
            this.damage.knocks++;
            return replyOf(isIPv6 ? model.replies.range : model.replies.all, 'greeting');
        }
        const attempts = range.attempts.add(1, now);
        if (now < range.blockedUntil || now < unit.blockedUntil) {
            this.damage.knocks++;
            this.press(provider, unit, range, refusals, attempts, now);
            return replyOf(now < range.blockedUntil ? model.replies.range : model.replies.blocked, 'mail');
        }
        if (!this.takeToken(model, unit, now)) {
            this.blame(provider, unit, HABITS.overRatePoints, now);
            return replyOf(model.replies.rate, 'mail');
        }
        if (model.greylist && isGreylisted(model.greylist, range, message, now)) {
            return replyOf(GREYLISTED, 'rcpt');
        }
        if (message.unwanted && message.detection < model.detects) {
            this.blame(provider, unit, HABITS.contentPoints, now);
            return replyOf(model.replies.content, 'end-of-data');
        }
        return undefined;
    }

    complain(key: string, address: string, now: number): void {
        const provider = this.provider_(key);
        const place = provider.places.get(address);
        this.damage.complaints++;
        if (place) {
            this.blame(provider, place.unit, HABITS.complaintPoints, now);
            if (place.range.complaints.add(1, now) > HABITS.complaintsWiden) {
                this.widen(provider, place.range, now);
            }
        }
    }

    /** What an attempt from this address would meet now, whatever the message: nobody on our side knows. */
    standing(key: string, address: string, now: number): Standing {
        const { model, places } = this.provider_(key);
        const place = places.get(address);
        if (!place || now < place.range.blockedUntil || now < place.unit.blockedUntil || this.isHappening(EVENTS.refusesAll, model, now)) {
            return 'blocked';
        }
        if (place.isIPv6 && (model.ipv6 === 'none' || this.isHappening(EVENTS.refusesIPv6, model, now))) {
            return 'blocked';
        }
        return this.tokensOf(model, place.unit, now) < 1 ? 'limited' : 'welcome';
    }

    private provider(model: ProviderModel, pool: readonly PoolAddress[]): Provider {
        const units = new Map<string, Unit>();
        const ranges = new Map<string, Range>();
        const places = pool.map(({ address, family, ranges: [narrow = '', wide = ''] }) => {
            const [unitName, rangeName] = family === 'ipv4' ? [address, wide] : model.ipv6 === 'range' ? [narrow, wide] : [address, narrow];
            const unit = units.get(unitName) ?? newUnit(unitName, unitName === address ? 1 : HABITS.rangeAllowance);
            const range = ranges.get(rangeName) ?? newRange();
            units.set(unitName, unit);
            ranges.set(rangeName, range);
            return [address, { unit, range, isIPv6: family === 'ipv6' }] as const;
        });
        return { model, units, ranges, places: new Map(places) };
    }

    private provider_(key: string): Provider {
        const provider = this.providers.get(key);
        if (!provider) {
            throw new Error(`${key} is no provider of the simulation`);
        }
        return provider;
    }

    private isHappening(event: { provider: string; from: number; to: number }, { key }: ProviderModel, now: number): boolean {
        const part = (now - this.begin) / this.length;
        return event.provider === key && part >= event.from && part < event.to;
    }

    /** An attempt from what is blocked: an address stays blocked for longer, and too many make the block wider. A blocked range has its time. */
    private press(provider: Provider, unit: Unit, range: Range, refusals: number, attempts: number, now: number): void {
        if (now < range.blockedUntil) {
            return;
        }
        unit.refused++;
        if (unit.refused > HABITS.forgiven) {
            unit.blockedUntil = Math.max(unit.blockedUntil, now + HABITS.quiet * HOUR);
        }
        const pressure = range.pressure.add(1 + HABITS.snowshoe * Math.min(refusals, HABITS.snowshoeMost), now);
        if (pressure > provider.model.widensAfter && pressure > HABITS.widensShare * attempts) {
            this.widen(provider, range, now);
        }
    }

    private widen({ model }: Provider, range: Range, now: number): void {
        if (now >= range.blockedUntil) {
            range.blockedUntil = now + model.widenedFor * HOUR;
            range.pressure.clear();
            range.complaints.clear();
            this.damage.widened++;
        }
    }

    private blame(provider: Provider, unit: Unit, points: number, now: number): void {
        if (unit.points.add(points, now) > provider.model.threshold * unit.allowance && now >= unit.blockedUntil) {
            this.damage.blocks++;
            this.block(provider, unit, now);
        }
    }

    private block({ model }: Provider, unit: Unit, now: number): void {
        const [shortest, longest] = model.blocked;
        const hours = shortest * (longest / shortest) ** fate(this.seed, 'block', model.key, unit.name, unit.blocks++);
        unit.blockedUntil = Math.max(unit.blockedUntil, now + hours * HOUR);
        unit.refused = 0;
        unit.points.clear();
    }

    private tokensOf({ burst, perHour }: ProviderModel, unit: Unit, now: number): number {
        return unit.allowance * Math.min(burst, unit.tokens + ((now - unit.tokensAt) / HOUR) * perHour);
    }

    private takeToken(model: ProviderModel, unit: Unit, now: number): boolean {
        const tokens = this.tokensOf(model, unit, now);
        unit.tokens = (tokens < 1 ? tokens : tokens - 1) / unit.allowance;
        unit.tokensAt = now;
        return tokens >= 1;
    }
}

function isGreylisted({ wait, passes }: { wait: number; passes: number }, range: Range, { sender, recipient }: Message, now: number): boolean {
    if (range.passes >= passes) {
        return false;
    }
    const pair = `${sender} ${recipient}`;
    const since = range.waiting.get(pair);
    if (since !== undefined && now - since >= wait * 1000) {
        range.passes++;
        return false;
    }
    range.waiting.set(pair, since ?? now);
    return true;
}

function newUnit(name: string, allowance: number): Unit {
    return { name, allowance, points: new Fading(HABITS.pointsHalfLife * HOUR), blockedUntil: 0, refused: 0, blocks: 0, tokens: 0, tokensAt: 0 };
}

function newRange(): Range {
    const [attempts, pressure] = [new Fading(HABITS.pressureHalfLife * HOUR), new Fading(HABITS.pressureHalfLife * HOUR)];
    return { attempts, pressure, complaints: new Fading(DAY / 2), blockedUntil: 0, passes: 0, waiting: new Map() };
}

function replyOf(text: string, stage: Reply['stage']): Reply {
    return { code: Number(text.slice(0, 3)), text, stage };
}
