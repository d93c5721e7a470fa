/** Runtime switches on a real Redis: thrown in one process they hold in all within two seconds, and they outlast Redis. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { failFast, type SharedRedis } from '../../lib/health/redis';
import { Switches } from '../../lib/health/switches';
import { useRealRedis } from './real-redis';

const redis = useRealRedis();
let prefix = '';
let runs = 0;
const started: { switches: Switches; client: SharedRedis }[] = [];

afterEach(() => {
    for (const { switches, client } of started.splice(0)) {
        switches.stop();
        client.disconnect();
    }
    prefix = `run${++runs}:`;
});

/** The switches of one process. */
async function processOf(warn: (err: Error) => void = () => undefined) {
    const { client, ready } = failFast(redis.place);
    await ready;
    const switches = new Switches(client, prefix, warn);
    await switches.start();
    started.push({ switches, client });
    return { switches, client };
}

describe('a runtime switch', () => {
    it('thrown in one process holds in the other within two seconds, off and on again', async () => {
        const [{ switches: here }, { switches: there }] = [await processOf(), await processOf()];
        await here.set('reroute', undefined, false, 'the /24 burns');
        expect(here.isOn('reroute', 'google')).toBe(false);
        await vi.waitUntil(() => !there.isOn('reroute', 'google'), { timeout: 2000 });
        expect(there.isOn('relay', 'google')).toBe(true);
        expect(there.list()).toEqual([{ name: 'reroute', note: 'the /24 burns' }]);
        await there.set('reroute', undefined, true, '');
        await vi.waitUntil(() => here.isOn('reroute', 'google'), { timeout: 2000 });
        expect(here.list()).toEqual([]);
    });

    it('for one provider leaves the others alone', async () => {
        const [{ switches: here }, { switches: there }] = [await processOf(), await processOf()];
        await here.set('relay', 'proofpoint:customer.example', false, '');
        await vi.waitUntil(() => !there.isOn('relay', 'proofpoint:customer.example'), { timeout: 2000 });
        expect(there.isOn('relay', 'google')).toBe(true);
        expect(there.list()).toEqual([{ name: 'relay', provider: 'proofpoint:customer.example', note: '' }]);
    });

    it('holds in a process that starts later', async () => {
        const { switches: here } = await processOf();
        await here.set('relay', 'google', false, '');
        const { switches: later } = await processOf();
        expect(later.isOn('relay', 'google')).toBe(false);
    });

    it('that is off stays off while Redis is away, and a new one cannot be thrown', async () => {
        const warnings: Error[] = [];
        const { switches, client } = await processOf(err => warnings.push(err));
        await switches.set('reroute', 'google', false, 'complaints');
        const closed = new Promise(resolve => client.once('close', resolve));
        await redis.server.stop();
        await closed;
        try {
            await vi.waitUntil(() => warnings.length > 0, { timeout: 3000 });
            expect(switches.isOn('reroute', 'google')).toBe(false);
            expect(switches.isOn('reroute', 'yahoo')).toBe(true);
            await expect(switches.set('relay', undefined, false, '')).rejects.toThrow();
            expect(switches.isOn('relay', 'google')).toBe(true);
            await expect(switches.set('reroute', 'google', true, '')).rejects.toThrow();
            expect(switches.isOn('reroute', 'google')).toBe(false);
        } finally {
            await redis.startAgain();
        }
    });

    it('without Redis holds in its own process', async () => {
        const alone = new Switches(undefined, prefix, () => undefined);
        await alone.start();
        await alone.set('reroute', undefined, false, '');
        expect(alone.isOn('reroute', 'google')).toBe(false);
        alone.stop();
    });
});
