import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask, serviceOf, startChild, untilReady, type Service } from './process';

export interface ClamdOptions {
    readonly host: string;
    /** The world's folder. */
    readonly dir: string;
    readonly port?: number;
}

/** The EICAR test file as a signature of our own: the official databases are large, and no test needs them. */
const eicarSignature =
    'EICAR-Test:0:*:58354f2150254041505b345c505a58353428505e2937434329377d2445494341522d5354414e444152442d414e544956495255532d544553542d46494c452124482b482a\n';

/** A clamd that knows one virus. */
export async function startClamd({ host, dir, port = 3310 }: ClamdOptions): Promise<Service> {
    const home = join(dir, 'clamd');
    mkdirSync(join(home, 'db'), { recursive: true });
    mkdirSync(join(home, 'tmp'), { recursive: true });
    writeFileSync(join(home, 'db', 'eicar.ndb'), eicarSignature);
    const config = join(home, 'clamd.conf');
    const lines = [
        'Foreground yes',
        `TCPAddr ${host}`,
        `TCPSocket ${port}`,
        `DatabaseDirectory ${join(home, 'db')}`,
        `TemporaryDirectory ${join(home, 'tmp')}`,
        'LogTime yes',
        'MaxThreads 4'
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    const child = startChild({ name: 'clamd', command: 'clamd', args: ['--config-file', config], logFile: join(home, 'clamd.log'), grace: 2_000 });
    await untilReady(child, () => ask(host, port, 'zPING\0', reply => reply.startsWith('PONG')));
    return serviceOf(child, host, port);
}
