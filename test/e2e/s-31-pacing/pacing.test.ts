/**
 * An operator has set a pace for a provider: thirty messages for it come at once, and ten for another one. Those over the pace wait
 * in the queue and nowhere else; and a provider that says "too many" is sent half as much.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { accept, limitPerAddress } from '../../bed/internet';
import { startWorld, type World } from '../../bed/world';
import { eventually, logLine, queue, trail } from '../helpers';

const MINUTE = 60_000;
/** Messages a minute that the operator allows: one slot in a little over a second. */
const PER_MINUTE = 60;
const LATE = 0.1 * MINUTE;
const SPACING = (MINUTE + LATE) / PER_MINUTE;

let world: World;
let folder: string;
const ids: string[] = [];

beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'providers-'));
    const providersFile = join(folder, 'providers.toml');
    writeFileSync(
        providersFile,
        `[[provider]]\nkey = "slow"\nmx = ["*.slow.example"]\npace.pool = { messages = ${PER_MINUTE} }\n` +
            '[[provider]]\nkey = "strict"\nmx = ["*.strict.example"]\npace.address = { messages = 60, connections = 2 }\npace.pool = { messages = 600 }\n' +
            '[[provider]]\nkey = "brief"\nmx = ["*.brief.example"]\npace.perConnection = 3\n'
    );
    world = await startWorld({
        release: '3.10.3',
        processes: 2,
        destinations: () => [
            { domain: 'slow.example', behaviour: accept() },
            { domain: 'quick.example', behaviour: accept() },
            { domain: 'burst.example', behaviour: accept() },
            { domain: 'brief.example', behaviour: accept() },
            { domain: 'strict.example', behaviour: limitPerAddress({ visits: 0, windowMs: MINUTE }) }
        ],
        plugins: { rspamd: false, index: { providersFile }, 'random-ip': { burst: 20 } }
    });
});
afterAll(async () => {
    await world?.stop();
    rmSync(folder, { recursive: true, force: true });
});

const arrivals = (domain: string) => world.farm.ledger.deliveries({ domain }).map(({ at }) => at).sort((one, other) => one - other);

async function providers(): Promise<Record<string, Record<string, unknown>>> {
    const { body } = await world.zonemta.api('/plugin/smart-relay/providers');
    const listed = (body as { providers: { provider: string; pace: Record<string, unknown> }[] }).providers;
    return Object.fromEntries(listed.map(({ provider, pace }) => [provider, pace]));
}

/** The most of these times that lie in one window, wherever it begins. */
function most(times: readonly number[], window: number): number {
    return Math.max(...times.map(from => times.filter(at => at >= from && at < from + window).length));
}

it('mail for another provider is not held up by what waits', async () => {
    const all = [...Array.from({ length: 30 }, (_, n) => `s${n}@slow.example`), ...Array.from({ length: 10 }, (_, n) => `q${n}@quick.example`)];
    ids.push(...(await Promise.all(all.map(to => queue(world, { to })))));
    const queuedAt = Date.now();
    await world.farm.ledger.until(entries => entries.filter(entry => entry.domain === 'quick.example' && entry.accepted).length === 10, 30_000, 'ten for the quick one');
    const took = Date.now() - queuedAt;
    const slow = arrivals('slow.example').length;
    console.log(`ten for the other provider took ${took} ms, and ${slow} of 30 for the slow one were out by then`);
    expect(slow).toBeLessThan(25);
});

it('what waits has used up neither attempts nor the schedule, and the line is seen', async () => {
    const client = await new MongoClient(world.mongo.url).connect();
    const waiting = await client.db().collection('zone-queue').find({ domain: 'slow.example', '_deferred.next': { $exists: true } }).toArray();
    await client.close();
    expect(waiting.length).toBeGreaterThan(3);
    expect(waiting.map(document => (document['_deferred'] as { count: number }).count)).toEqual(waiting.map(() => 0));
    expect(waiting.map(document => (document['smartRelay'] as { attempts: unknown[] }).attempts)).toEqual(waiting.map(() => []));
    const { slow } = await providers();
    expect(slow).toMatchObject({ pool: { messages: PER_MINUTE }, address: null, share: 1 });
    expect(slow?.['line']).toBeGreaterThan(0);
    expect(slow?.['lastMinute']).toBeGreaterThan(0);
});

it('all arrive once, and no window holds more than the pace and what was left unused just before', async () => {
    await world.farm.ledger.until(entries => entries.filter(entry => entry.domain === 'slow.example' && entry.accepted).length === 30, 2 * MINUTE, 'thirty for the slow one');
    const times = arrivals('slow.example');
    const recipients = world.farm.ledger.attempts({ domain: 'slow.example' }).map(({ to }) => to);
    expect(new Set(recipients).size).toBe(30);
    expect(recipients).toHaveLength(30);
    for (const window of [1000, 5000, 10_000, 20_000, MINUTE]) {
        const allowed = Math.ceil((window + LATE) / SPACING);
        console.log(`at most ${most(times, window)} in ${window / 1000} s, ${allowed} allowed`);
        // one more for the way between the slot and the destination
        expect(most(times, window)).toBeLessThanOrEqual(allowed + (window < MINUTE ? 1 : 0));
    }
    const took = (times.at(-1) ?? 0) - (times[0] ?? 0);
    console.log(`thirty at ${PER_MINUTE} a minute took ${took} ms`);
    expect(took).toBeGreaterThan(20 * SPACING - LATE);
    for (const id of ids.slice(0, 30)) {
        expect((await trail(world, id)).map(({ kind }) => kind)).toEqual(['delivered']);
    }
});

it('a limit that is met halves the pace, for all processes, and the operator sees it', async () => {
    await queue(world, { to: 'a@strict.example' });
    await logLine(world, /SMART_RELAY_PACE_LOWERED/, 30_000);
    await eventually('the pace is lowered', async () => Number((await providers())['strict']?.['share']) < 0.6, 10_000);
    const { strict } = await providers();
    expect(strict?.['share']).toBeGreaterThan(0.2);
    expect(strict).toMatchObject({ address: { messages: 60, connections: 2 }, pool: { messages: 600 } });
});

it('with burst a process keeps its random address for a provider', async () => {
    await Promise.all(Array.from({ length: 16 }, (_, n) => queue(world, { to: `b${n}@burst.example` })));
    await world.farm.ledger.until(entries => entries.filter(entry => entry.domain === 'burst.example' && entry.accepted).length === 16, 30_000, 'sixteen');
    const clients = new Set(world.farm.ledger.deliveries({ domain: 'burst.example' }).map(({ client }) => client));
    console.log(`sixteen deliveries of two processes left from ${clients.size} addresses`);
    // the first ones of a process may be under way together
    expect(clients.size).toBeLessThanOrEqual(6);
});

it('a connection takes as many messages as the operator allows, and no more', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, n) => queue(world, { to: `c${n}@brief.example` })));
    await world.farm.ledger.until(entries => entries.filter(entry => entry.domain === 'brief.example' && entry.accepted).length === 20, 30_000, 'twenty');
    const messages = new Map<string, number>();
    world.farm.ledger.deliveries({ domain: 'brief.example' }).forEach(({ connection = '' }) => messages.set(connection, (messages.get(connection) ?? 0) + 1));
    console.log(`messages on each connection: ${[...messages.values()].join(' ')}`);
    expect(Math.max(...messages.values())).toBe(3);
});
