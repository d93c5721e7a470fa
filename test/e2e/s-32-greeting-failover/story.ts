/** A provider refuses some addresses in its greeting, or does not let them connect: the message leaves from another one within the same attempt. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { accept, dropShare, refuseShare, refusingAt, REPLIES, reply, type LedgerEntry } from '../../bed/internet';
import { startWorld, type World } from '../../bed/world';
import type { Release } from '../../bed/zonemta';
import { eventually, queue, trail, type MessageEvent } from '../helpers';

/** The world's schedule begins with 4 s. */
const SCHEDULED_MS = 3500;

/** The pool has two /24 only: refusals of a few addresses shall not be the end of them. */
const REPUTATION = { rangeAfter: 50 };

const tooBusy = reply('421 4.3.2 {mx} Too busy, try again later');

interface Told {
    accepted: LedgerEntry;
    events: MessageEvent[];
}

/** Resets the connections of whoever comes first, and of nobody else. */
function dropFirst() {
    let first: string | undefined;
    return dropShare(client => client === (first ??= client));
}

/** Refuses every second address that comes, `count` of them: no message can meet so many that it runs out of attempts. */
function refuseEverySecond(count: number) {
    const met: string[] = [];
    const isRefused = (client: string) => {
        if (!met.includes(client)) met.push(client);
        const order = met.indexOf(client);
        return order % 2 === 0 && order < 2 * count;
    };
    return refuseShare(isRefused, 'greeting', REPLIES.ciscoPoorReputation);
}

/** Has no time for the first visitor, whoever that is. */
function busyOnce() {
    let visits = 0;
    return refusingAt('greeting', 'busy', visit => (visits++ === 0 ? tooBusy(visit) : undefined));
}

export function tellGreetingFailover(release: Release): void {
    let world: World;
    let number = 0;

    beforeAll(async () => {
        world = await startWorld({
            release,
            mxTls: true,
            destinations: () => [
                { domain: 'picky.example', behaviour: refuseEverySecond(8) },
                { domain: 'busy.example', behaviour: busyOnce() },
                { domain: 'walled.example', behaviour: accept() }
            ],
            plugins: { rspamd: false, reputation: REPUTATION }
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

    /** From the first refusal to the acceptance, ms. */
    const p50 = (told: readonly Told[]) => told.map(({ accepted, events }) => accepted.at - (events[0]?.attempt?.at ?? 0)).sort((a, b) => a - b)[Math.floor(told.length / 2)];
    const greetings = (domain: string) => world.farm.ledger.attempts({ domain, stage: 'greeting' });
    const isMoved = ({ reason }: MessageEvent) => reason !== undefined && /, (in the greeting|no connection)$/.test(reason);

    it('each message is accepted once, and the trail of a rescued one has both addresses', async () => {
        const told = await send('picky.example', 24);
        const rescued = told.filter(({ events }) => events.some(isMoved));
        expect(rescued.length).toBeGreaterThan(1);
        const refused = greetings('picky.example').map(({ client }) => client);
        for (const { accepted, events } of rescued) {
            expect(events[0]).toMatchObject({ kind: 'attempt', verdict: 'reroute', reason: 'ip-reputation, in the greeting', attempt: { class: 'ip-reputation', code: 554 } });
            expect(refused).toContain(events[0]?.attempt?.address);
            expect(events.at(-1)).toMatchObject({ kind: 'delivered', attempt: { address: accepted.client } });
            // the name of the second address, and STARTTLS on a connection that was opened for ZoneMTA
            expect(accepted).toMatchObject({ helo: `out${world.pool.all.indexOf(accepted.client) + 1}.provider.example`, secure: true });
        }
        const inOne = rescued.filter(({ events }) => events.length === 2).length;
        console.log(`${release}: of 24 messages ${rescued.length} met a refusing greeting, ${inOne} of them were accepted in the same attempt; from refusal to acceptance p50 ${p50(rescued)} ms`);
    });

    it('an address that was refused is not used again', () => {
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
        // the evidence: others get through
        await send('walled.example', 6);
        await world.farm.setBehaviour('walled.example', dropFirst());
        const told = await send('walled.example', 6);
        const moved = told.flatMap(({ events }) => events.filter(isMoved));
        const dropped = [...new Set(greetings('walled.example').map(({ client }) => client))];
        expect(dropped).toHaveLength(1);
        expect(moved[0]).toMatchObject({ reason: 'others of our addresses get through, no connection', attempt: { class: 'network', address: dropped[0] } });
        const { body } = await world.zonemta.api('/plugin/smart-relay/suspensions');
        const found = (body as { suspensions: { provider: string; scope: string; class: string }[] }).suspensions.filter(({ provider }) => provider === 'walled.example');
        expect(found).toMatchObject([{ scope: dropped[0], class: 'network' }]);
    });
}
