/** One run: the messages of a seed, in virtual time, under one strategy. */
import { seeded } from '../../test/bed/internet/random';
import { Agenda } from './heap';
import { Measures, type Outcome } from './measures';
import { KumoLike, ZoneMta } from './other-strategies';
import { PackageStrategy, withMemory, withOracle, withoutMemory } from './package-strategy';
import { PROVIDERS } from './providers';
import { simulatedPool } from './pool';
import type { Course, Next, Strategy, Surroundings } from './strategy';
import { traffic, type Message } from './traffic';
import { World } from './world';

const SECOND = 1000;
const HOUR = 3_600_000;

export interface Plan {
    seed: number;
    messages: number;
    /** Pool addresses, a multiple of 16. */
    addresses: number;
    hours: number;
}

/** In the order of the tables and plots. */
export const STRATEGIES = {
    package: surroundings => new PackageStrategy(surroundings, withMemory),
    zonemta: surroundings => new ZoneMta(surroundings),
    random: surroundings => new PackageStrategy(surroundings, withoutMemory),
    kumomta: surroundings => new KumoLike(surroundings),
    oracle: surroundings => new PackageStrategy(surroundings, withOracle)
} satisfies Record<string, (surroundings: Surroundings) => Strategy>;

export type StrategyName = keyof typeof STRATEGIES;

/** 2026-01-05, a Monday. */
const BEGIN = Date.UTC(2026, 0, 5);
/** What is not delivered so long after the last message stays in the queue. ZoneMTA's schedule ends after 48 h. */
const AFTERWARDS = 60 * HOUR;
/** ZoneMTA looks for what is due once a second; a delivery that is asked for at once finds the look of this second gone. */
const POLL = SECOND;
/** An attempt takes so long, by chance up to three times. Guess. */
const ATTEMPT_TAKES = 0.6 * SECOND;
/** The relay takes everything, after so long. Guess. */
const RELAYED_AFTER = 3 * SECOND;
/** The state of all addresses is noted so often. */
const SAMPLED_EVERY = HOUR / 2;

interface Flight {
    message: Message;
    course: Course;
    /** Refusals so far that blamed an address. */
    refusals: number;
    attempts: number;
}

type Event =
    | { kind: 'depart'; flight: Flight }
    | { kind: 'arrive'; flight: Flight; address: string }
    | { kind: 'relayed'; flight: Flight }
    | { kind: 'complain'; provider: string; address: string }
    | { kind: 'inherit'; provider: string; address: string }
    | { kind: 'sample' };

export async function run(name: StrategyName, { seed, messages, addresses, hours }: Plan): Promise<Outcome> {
    const length = hours * HOUR;
    const pool = simulatedPool(addresses);
    const world = new World(seed, pool, BEGIN, length);
    let now = BEGIN;
    const strategy: Strategy = STRATEGIES[name]({ pool, world, now: () => now, random: seeded(seed + 1) });
    const measures = new Measures(BEGIN);
    const agenda = new Agenda<Event>();
    world.inherited().forEach(({ at, provider, address }) => agenda.put(at, { kind: 'inherit', provider, address }));
    agenda.put(BEGIN, { kind: 'sample' });
    const coming = traffic(seed, messages, BEGIN, length);
    let arriving = coming.next();
    const end = BEGIN + length + AFTERWARDS;
    for (;;) {
        if (!arriving.done && arriving.value.at <= agenda.next) {
            const message = arriving.value;
            now = message.at;
            measures.sent(message);
            await depart({ message, course: strategy.course(message), refusals: 0, attempts: 0 });
            arriving = coming.next();
            continue;
        }
        if (agenda.next > end) {
            break;
        }
        now = agenda.next;
        const event = agenda.take();
        if (!event) {
            break;
        }
        await happen(event);
    }
    return measures.outcome(name, world.damage);

    async function happen(event: Event): Promise<void> {
        switch (event.kind) {
            case 'depart':
                return depart(event.flight);
            case 'arrive':
                return arrive(event.flight, event.address);
            case 'relayed':
                return measures.relayed(event.flight.message, event.flight.attempts, now);
            case 'complain':
                return world.complain(event.provider, event.address, now);
            case 'inherit':
                return world.inherit(event.provider, event.address, now);
            case 'sample':
                return sample();
        }
    }

    async function depart(flight: Flight): Promise<void> {
        const departure = await flight.course.depart();
        if (departure.kind !== 'from') {
            return goOn(flight, departure);
        }
        agenda.put(now + ATTEMPT_TAKES * (1 + 2 * flight.message.quickness), { kind: 'arrive', flight, address: departure.address });
    }

    async function arrive(flight: Flight, address: string): Promise<void> {
        const { message, course } = flight;
        flight.attempts++;
        const reply = world.attempt(message, address, flight.refusals, now);
        if (reply) {
            flight.refusals++;
            return goOn(flight, await course.refused(address, reply));
        }
        await course.accepted(address);
        measures.delivered(message, flight.attempts, now);
        if (message.complaint !== undefined) {
            agenda.put(now + message.complaint, { kind: 'complain', provider: message.provider.key, address });
        }
    }

    function goOn(flight: Flight, next: Next): void {
        switch (next.kind) {
            case 'again':
                agenda.put(now + next.delay + POLL, { kind: 'depart', flight });
                return;
            case 'relay':
                agenda.put(now + next.delay + POLL + RELAYED_AFTER, { kind: 'relayed', flight });
                return;
            case 'bounce':
                measures.bounced(flight.message, flight.attempts);
        }
    }

    async function sample(): Promise<void> {
        await strategy.tidy();
        let [blocked, suspended, inVain] = [0, 0, 0];
        for (const { key, ipv6 } of PROVIDERS) {
            for (const entry of pool) {
                if (entry.family === 'ipv6' && ipv6 === 'none') {
                    continue;
                }
                const isBlocked = world.standing(key, entry.address, now) === 'blocked';
                const isSuspended = strategy.suspends(key, entry);
                blocked += Number(isBlocked);
                suspended += Number(isSuspended);
                inVain += Number(isSuspended && !isBlocked);
            }
        }
        if (now <= BEGIN + length) {
            measures.sample(now, { blocked, suspended, inVain }, SAMPLED_EVERY / HOUR);
            agenda.put(now + SAMPLED_EVERY, { kind: 'sample' });
        }
    }
}
