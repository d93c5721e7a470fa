/** A provider refuses some addresses in its greeting, or does not let them connect: the message leaves from another one within the same attempt. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { accept, dropShare, refuseShare, refusingAt, REPLIES, reply, shareOf, type LedgerEntry, type ReplyMaker } from '../../bed/internet';
import { startWorld, type World } from '../../bed/world';
import type { Release } from '../../bed/zonemta';
import { eventually, logLine, queue, trail, type MessageEvent } from '../helpers';

/** The world's schedule begins with 4 s. */
const SCHEDULED_MS = 3500;

const tooBusy = reply('421 4.3.2 {mx} Too busy, try again later');

interface Told {
    accepted: LedgerEntry;
    events: MessageEvent[];
}

/** Greets every second visitor with a refusal, the first one too. */
function everySecond(answer: ReplyMaker) {
    let visits = 0;
    return refusingAt('greeting', 'every-second', visit => (visits++ % 2 === 0 ? answer(visit) : undefined));
}

export function tellGreetingFailover(release: Release): void {
    let world: World;
    let number = 0;

    beforeAll(async () => {
        world = await startWorld({
            release,
            processes: 2,
            mxTls: true,
            destinations: pool => [
                { domain: 'picky.example', behaviour: refuseShare(shareOf(pool.all, 0.3, 32), 'greeting', REPLIES.ciscoPoorReputation) },
                { domain: 'moody.example', behaviour: everySecond(REPLIES.ciscoPoorReputation) },
                { domain: 'grumpy.example', behaviour: everySecond(REPLIES.ciscoPoorReputation) },
                { domain: 'busy.example', behaviour: everySecond(tooBusy) },
                { domain: 'walled.example', behaviour: accept() }
            ],
            plugins: { rspamd: false }
        });
    });
    afterAll(async () => world?.stop());

    /** Submits, and tells of each message what became of it, when that is on record. */
    async function send(domain: string, count: number): Promise<Told[]> {
        const sent: { id: string; to: string }[] = [];
        for (let n = 0; n < count; n++) {
            const to = `m${number++}@${domain}`;
            sent.push({ id: await queue(world, { to }), to });
        }
        return Promise.all(sent.map(({ id, to }) => tell(id, to)));
    }

    async function tell(id: string, to: string): Promise<Told> {
        let events: MessageEvent[] = [];
        const isDelivered = async () => {
            events = await trail(world, id);
            return events.some(({ kind }) => kind === 'delivered');
        };
        await eventually(`${to} is delivered`, isDelivered, 60_000);
        const [accepted, ...again] = world.farm.ledger.deliveries({ to });
        expect(again).toEqual([]);
        return { accepted: accepted as LedgerEntry, events };
    }

    const greetings = (domain: string) => world.farm.ledger.attempts({ domain, stage: 'greeting' });
    const isMoved = ({ reason }: MessageEvent) => reason !== undefined && /, (in the greeting|no connection)$/.test(reason);

    it('each message is accepted once, and the trail of a rescued one has both addresses', async () => {
        const told = await send('picky.example', 30);
        const rescued = told.filter(({ events }) => events.some(isMoved));
        expect(rescued.length).toBeGreaterThan(3);
        const refused = greetings('picky.example').map(({ client }) => client);
        for (const { accepted, events } of rescued) {
            expect(events[0]).toMatchObject({ kind: 'attempt', verdict: 'reroute', reason: 'ip-reputation, in the greeting', attempt: { class: 'ip-reputation', code: 554 } });
            expect(refused).toContain(events[0]?.attempt?.address);
            expect(events.at(-1)).toMatchObject({ kind: 'delivered', attempt: { address: accepted.client } });
            // the name of the second address, and STARTTLS on a connection that was opened for ZoneMTA
            expect(accepted).toMatchObject({ helo: `out${world.pool.all.indexOf(accepted.client) + 1}.provider.example`, secure: true });
        }
        const inOne = rescued.filter(({ events }) => events.length === 2).length;
        console.log(`${release}: of 30 messages ${rescued.length} met a refusing greeting, ${inOne} of them were accepted in the same attempt`);
    });

    it('no process goes to the provider again from an address that it has refused', () => {
        const first = new Map<string, number>();
        greetings('picky.example').forEach(({ client, at }) => first.set(client, first.get(client) ?? at));
        const again = greetings('picky.example').filter(({ client, at }) => at > (first.get(client) ?? 0) + 1000);
        expect(again.map(({ client }) => client)).toEqual([]);
    });

    it('"too busy" says nothing of the address: the message waits for its time', async () => {
        const [told] = await send('busy.example', 1);
        const [busy] = greetings('busy.example');
        expect((told?.accepted.at ?? 0) - (busy?.at ?? 0)).toBeGreaterThanOrEqual(SCHEDULED_MS);
        expect(told?.events[0]).toMatchObject({ verdict: 'core', attempt: { class: 'system' } });
    });

    it('an address that is not let in while others are is left within the attempt, and suspended there for a while', async () => {
        // both processes have seen that addresses get through
        await send('walled.example', 16);
        await world.farm.setBehaviour('walled.example', dropShare(shareOf(world.pool.all, 0.3, 33)));
        const told = await send('walled.example', 20);
        const moved = told.flatMap(({ events }) => events.filter(isMoved));
        expect(moved.length).toBeGreaterThan(0);
        const dropped = greetings('walled.example').map(({ client }) => client);
        for (const { reason, attempt } of moved) {
            expect(reason).toBe('others of our addresses get through, no connection');
            expect(attempt?.class).toBe('network');
            expect(dropped).toContain(attempt?.address);
        }
        const { body } = await world.zonemta.api('/plugin/smart-relay/suspensions');
        const found = (body as { suspensions: { provider: string; scope: string; class: string }[] }).suspensions.filter(({ provider }) => provider === 'walled.example');
        expect(found.length).toBeGreaterThan(0);
        expect(found.every(suspension => suspension.class === 'network' && dropped.includes(suspension.scope))).toBe(true);
        console.log(`${release}: ${dropped.length} connections were reset, ${moved.length} messages went on within the attempt, ${found.length} addresses are suspended`);
    });

    it('without connectFailover a rescue takes another turn in the queue', async () => {
        const ROUNDS = 5;
        const rescueTime = async (domain: string): Promise<number> => {
            const times: number[] = [];
            for (let n = 0; n < ROUNDS; n++) {
                const to = `t${n}@${domain}`;
                const { accepted } = await tell(await queue(world, { to }), to);
                times.push(accepted.at - (greetings(domain).at(-1)?.at ?? 0));
            }
            return times.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? 0;
        };
        const within = await rescueTime('moody.example');
        await world.restartZoneMta({ plugins: { rspamd: false, reputation: { connectFailover: false } } });
        const later = await rescueTime('grumpy.example');
        console.log(`${release}: from the refusal to the acceptance, p50: within the attempt ${within} ms, without ${later} ms (${(later / within).toFixed(1)} times as long)`);
        expect(within).toBeLessThan(later);
        await logLine(world, /SMART_RELAY_SUSPENDED/, 5000);
    });
}
