import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { repository } from '../repository';
import { serviceOf, startChild, untilReady, type Service } from './process';

export interface MongoOptions {
    readonly host: string;
    /** The world's folder. */
    readonly dir: string;
    readonly port?: number;
    /** The database that `url` names. */
    readonly database?: string;
}

export interface MongoService extends Service {
    /** What it runs on, for example "ferretdb-1.24.2 (sqlite)". */
    readonly kind: string;
    /** With the database in it. */
    readonly url: string;
}

interface Choice {
    readonly kind: string;
    readonly program: string;
}

/**
 * The MongoDB that `scripts/setup.mjs` found or made, or the one at MONGO_URL, in which the world gets a database of
 * its own that is dropped by `stop`. Started again with the same options it has kept its data.
 */
export async function startMongo({ host, dir, port = 27017, database = 'zone-mta' }: MongoOptions): Promise<MongoService> {
    if (process.env['MONGO_URL']) return useExternal(process.env['MONGO_URL'], dir);

    const home = join(dir, 'mongo');
    mkdirSync(home, { recursive: true });
    const { kind, program } = readChoice();
    const child = startChild({
        name: 'mongo',
        command: program,
        args: argsFor(kind, host, port, home),
        cwd: home,
        logFile: join(home, 'mongo.log')
    });
    const url = `mongodb://${host}:${port}/${database}`;
    await untilReady(child, () => ping(url));
    return { ...serviceOf(child, host, port), kind, url };
}

function argsFor(kind: string, host: string, port: number, home: string): string[] {
    switch (kind.split('-')[0]) {
        case 'mongod':
            return ['--bind_ip', host, '--port', `${port}`, '--dbpath', home, '--nounixsocket', '--wiredTigerCacheSizeGB', '0.25'];
        case 'ferretdb':
            return ['-listen', `${host}:${port}`, '-dir', home];
        case 'secantusdb':
            return ['--host', host, '--port', `${port}`, '--standalone', '--sync-on-commit', '--storage-path', join(home, 'data'), '--cache-size', '64M', '--log-level', 'WARNING'];
        default:
            throw new Error(`no way to start a ${kind}`);
    }
}

/** Written by scripts/lib/mongo.mjs. */
function readChoice(): Choice {
    const file = join(repository(), '.build', 'setup', 'mongo.json');
    if (!existsSync(file)) throw new Error(`no MongoDB was chosen yet (${file}): run node scripts/setup.mjs`);
    return JSON.parse(readFileSync(file, 'utf8')) as Choice;
}

async function ping(url: string): Promise<void> {
    const client = new MongoClient(url, { serverSelectionTimeoutMS: 1_000, directConnection: true });
    try {
        await client.connect();
        await client.db().command({ ping: 1 });
    } finally {
        await client.close();
    }
}

/** Somebody else's server can be used, but not taken away. */
async function useExternal(base: string, dir: string): Promise<MongoService> {
    const url = new URL(base);
    url.pathname = `/bed-${process.pid}-${Date.now().toString(36)}`;
    const client = new MongoClient(url.href, { serverSelectionTimeoutMS: 5_000 });
    await client.connect();
    return {
        name: 'mongo',
        kind: 'MONGO_URL',
        url: url.href,
        host: url.hostname,
        port: Number(url.port || 27017),
        logFile: join(dir, 'mongo', 'mongo.log'),
        async stop() {
            await client.db().dropDatabase();
            await client.close();
        },
        kill() {
            throw new Error('the MongoDB at MONGO_URL is not ours to kill: unset it for the outage tests');
        }
    };
}
