/** What a sender:connect hook gives to mx-connect, on the mx-connect of both releases: a socket, or a failure that is known already. */
import { createRequire } from 'node:module';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { SenderConnectOptions } from '@zone-eu/types';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failConnect, useSocket } from '../../lib/zonemta/connect';
import { repository } from '../bed/repository';
import { claimLoopback, type Loopback } from '../bed/services/loopback';
import { startScripted } from './scripted-server';

type Hook = (options: SenderConnectOptions) => void;
interface Connected {
    socket: Socket;
    localHostname: string;
    hostname: string;
    host: string;
}
type MxConnect = (options: object, done: (err: Failure | null, connected: Connected) => void) => void;
type Failure = Error & Record<'response' | 'category' | 'code' | 'temporary' | 'netConnected', unknown>;

let loopback: Loopback;
beforeAll(async () => {
    loopback = await claimLoopback();
});
afterAll(() => loopback.release());

describe.each(['3.10.3', '3.11.0'])('mx-connect of ZoneMTA %s', release => {
    const mxConnect = createRequire(join(repository(), `test/bed/hosts/zonemta-${release}/package.json`))('mx-connect') as MxConnect;

    function connect(hosts: readonly string[], port: number, hook: Hook): Promise<Connected> {
        const options = {
            target: 'theirs.example',
            port,
            mx: hosts.map((host, index) => ({ exchange: `mx${index}.theirs.example`, priority: index, A: [host], AAAA: [] })),
            localAddress: `127.${loopback.k}.16.9`,
            localHostname: 'out9.example',
            dnsOptions: { blockLocalAddresses: false },
            mtaSts: { enabled: false },
            connectHook: (_delivery: unknown, given: SenderConnectOptions, done: () => void) => {
                hook(given);
                done();
            }
        };
        return new Promise((resolve, reject) => mxConnect(options, (err, connected) => (err ? reject(err) : resolve(connected))));
    }

    const failing = async (hosts: readonly string[], port: number, hook: Hook) => (await connect(hosts, port, hook).catch((err: unknown) => err)) as Failure;
    const refusedAt = (host: string, port: number) => Object.assign(new Error(`connect ECONNREFUSED ${host}:${port}`), { code: 'ECONNREFUSED' });

    it('reports our failure as it would its own', async () => {
        const server = await startScripted(loopback.host, () => undefined);
        const { port } = server;
        // it would get through, but for us
        const ours = await failing([loopback.host], port, options => failConnect(options, refusedAt(loopback.host, port), false));
        await server.stop();
        const own = await failing([loopback.host], port, () => undefined);
        const told = ({ message, response, category, code, temporary }: Failure) => ({ message, response, category, code, temporary });
        expect(told(ours)).toEqual(told(own));
        expect(own.message).toMatch(/^Network error when connecting to MX server mx0\.theirs\.example\[/);
    });

    it('goes on with the next MX host after it', async () => {
        const server = await startScripted(`127.${loopback.k}.0.2`, () => undefined);
        const { host, hostname, socket } = await connect([loopback.host, server.host], server.port, options => {
            if (options.host === loopback.host) {
                failConnect(options, refusedAt(loopback.host, server.port), false);
            }
        });
        expect({ host, hostname }).toEqual({ host: server.host, hostname: 'mx1.theirs.example' });
        socket.destroy();
        await server.stop();
    });

    it('what failed after a connection was made stays so, whatever lib/sender.js notes', async () => {
        const after = await failing([loopback.host], 25, options => failConnect(options, new Error('read ECONNRESET'), true));
        after.netConnected = false;
        expect(after.netConnected).toBe(true);
        const before = await failing([loopback.host], 25, options => failConnect(options, new Error('connect ECONNRESET'), false));
        before.netConnected = false;
        expect(before.netConnected).toBe(false);
    });

    it('takes our socket with its name', async () => {
        const server = await startScripted(loopback.host, () => undefined);
        const socket = new Socket().connect({ port: server.port, host: server.host });
        const connected = await connect([server.host], server.port, options => useSocket(options, socket, 'out7.example'));
        expect(connected).toMatchObject({ localHostname: 'out7.example', hostname: 'mx0.theirs.example' });
        expect(connected.socket).toBe(socket);
        socket.destroy();
        await server.stop();
    });
});
