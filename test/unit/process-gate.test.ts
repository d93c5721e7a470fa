/** The gate by itself. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Gate } from '../../lib/process/gate';

beforeEach(() => {
    vi.useFakeTimers();
});

afterEach(() => {
    vi.useRealTimers();
});

describe('the gate', () => {
    it('opens once', async () => {
        const gate = new Gate<string>();
        expect([gate.state, gate.services]).toEqual(['waiting', undefined]);
        gate.pass('services');
        gate.pass('others');
        expect([gate.state, gate.services, await gate.whenOpen(), await gate.within(0)]).toEqual(['open', 'services', 'services', 'services']);
    });

    it('does not open again when it was closed', async () => {
        const gate = new Gate<string>();
        gate.close(['wrong']);
        gate.pass('services');
        expect([gate.state, gate.services, await gate.within(1000)]).toEqual(['closed', undefined, undefined]);
    });

    it('keeps every fault once', () => {
        const gate = new Gate<string>();
        gate.close(['one', 'two']);
        gate.close(['two', 'three']);
        expect(gate.faults).toEqual(['one', 'two', 'three']);
    });

    it('lets wait no longer than was said, and leaves no timer behind', async () => {
        const gate = new Gate<string>();
        const late = gate.within(5000);
        const intime = gate.within(6000);
        await vi.advanceTimersByTimeAsync(5000);
        expect(await late).toBeUndefined();
        gate.pass('services');
        expect(await intime).toBe('services');
        expect(vi.getTimerCount()).toBe(0);
    });
});
