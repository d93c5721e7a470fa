/** What becomes of a delivery over the pace, and of one that has ended. */
import type { SenderDelivery, SenderDeliveryError } from '@zone-eu/types';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { EventLog } from '../../lib/process/log';
import { leavePace, WaitingCounter } from '../../lib/process/pacing';
import type { Flight, Services } from '../../lib/process/services';
import type { PluginApp } from '../../lib/zonemta/app';

const NOW = Date.UTC(2026, 0, 1);

beforeEach(() => vi.useFakeTimers({ now: NOW }));
afterEach(() => vi.useRealTimers());

function sender() {
    const events: unknown[] = [];
    const released: string[] = [];
    const ended: string[] = [];
    const log = { event: (code: string, fields: object) => events.push({ code, ...fields }) } as unknown as EventLog;
    const services = {
        flights: new WeakMap<SenderDelivery, Flight>(),
        waiting: new WaitingCounter(log),
        health: { end: (name: string) => ended.push(name) },
        pace: { release: async (...what: string[]) => void released.push(what.join(' ')) },
        now: Date.now,
        random: () => 0.5
    } as unknown as Services;
    const woken: unknown[] = [];
    const app = { getQueue: () => ({ sendCommand: (command: unknown) => woken.push(command) }) } as unknown as PluginApp;
    const end = async (flight: Partial<Flight>, failed = true) => {
        const delivery = { id: 'm', seq: '001', sendingZone: 'default', _deferred: { count: 2 } } as unknown as SenderDelivery;
        services.flights.set(delivery, { startedAt: NOW, destination: { provider: 'google', hosts: [], reachable: { ipv4: true, ipv6: false } }, address: '192.0.2.1', ...flight });
        const err = { message: 'refused' } as SenderDeliveryError;
        await leavePace(services, app, delivery, failed ? err : undefined);
        return { delivery, err };
    };
    return { end, ended, events, released, woken };
}

describe('a delivery over the pace', () => {
    it('comes back at its turn, in the same zone, with nothing used up', async () => {
        const { end, woken } = sender();
        const { delivery, err } = await end({ turn: { at: NOW + 7000, address: '192.0.2.9' } });
        expect(err).toMatchObject({ action: 'defer', category: 'policy' });
        expect(delivery['deferTimes']).toEqual([7000, 7000, 7000]);
        expect(delivery.updates).toMatchObject({ smartRelayTurn: { at: NOW + 7000, address: '192.0.2.9' }, $inc: { '_deferred.count': 0 }, smartRelay: { attempts: [], phase: 'pool' } });
        expect(delivery.updates).not.toHaveProperty('sendingZone');
        await vi.advanceTimersByTimeAsync(7500);
        expect(woken).toContainEqual({ cmd: 'CLEARCACHE', key: 'empty:default' });
    });

    it('wakes the zone no more often for all that are due together', async () => {
        const { end, woken } = sender();
        for (let n = 0; n < 100; n++) {
            await end({ turn: { at: NOW + 9000, address: '' } });
        }
        await vi.advanceTimersByTimeAsync(9500);
        expect(woken).toEqual([1, 2].map(() => ({ cmd: 'CLEARCACHE', key: 'empty:default' })));
    });

    it('is told of once a minute and provider, in figures', async () => {
        const { end, events } = sender();
        for (const seconds of [5, 90, 30]) {
            await end({ turn: { at: NOW + seconds * 1000, address: '' } });
        }
        await vi.advanceTimersByTimeAsync(59_000);
        expect(events).toEqual([]);
        await vi.advanceTimersByTimeAsync(2000);
        expect(events).toEqual([{ code: 'PACED', provider: 'google', deliveries: 3, seconds: 90 }]);
        await vi.advanceTimersByTimeAsync(120_000);
        expect(events).toHaveLength(1);
    });
});

describe('a delivery that was under way', () => {
    it.each([true, false])('is released when it ends (refused: %s), as it was counted, whatever address it went on from', async failed => {
        const { end, ended, released } = sender();
        const { err, delivery } = await end({ address: '192.0.2.7', countedAs: '192.0.2.1' }, failed);
        expect(released).toEqual(['google 192.0.2.1 m.001']);
        expect(ended).toEqual(['m.001']);
        expect(err).not.toHaveProperty('action');
        expect(delivery.updates).toBeUndefined();
    });

    it('is not released where nothing counts it', async () => {
        const { end, released } = sender();
        await end({});
        expect(released).toEqual([]);
    });
});
