/** IPv6 addresses on `lo`, where that is allowed: unlike 127.0.0.0/8 they are not there by themselves. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Loopback6 {
    /** Empty when the machine does not allow it; `reason` then says why. */
    readonly addresses: readonly string[];
    readonly reason?: string;
    remove(): Promise<void>;
}

/** Puts the addresses on `lo`, all or none. */
export async function addLoopback6(addresses: readonly string[]): Promise<Loopback6> {
    const change = (verb: 'add' | 'del', list: readonly string[]) =>
        // one `ip` for all of them; without nodad an address could not be bound for a second or two
        run('sh', ['-c', list.map(address => `ip -6 addr ${verb} ${address}/128 dev lo${verb === 'add' ? ' nodad' : ''}`).join(' && ')]);
    if (addresses.length === 0) {
        return { addresses: [], remove: async () => undefined };
    }
    try {
        await change('add', addresses);
    } catch (err) {
        await Promise.all(addresses.map(address => change('del', [address]).catch(() => undefined)));
        return { addresses: [], reason: (err as Error).message.trim().split('\n').at(-1) ?? 'refused', remove: async () => undefined };
    }
    return { addresses, remove: async () => void (await change('del', addresses)) };
}
