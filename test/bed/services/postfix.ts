import { execFile } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ask, serviceOf, startChild, untilReady, type Service } from './process';

export interface PostfixOptions {
    readonly host: string;
    /** The world's folder. */
    readonly dir: string;
    /** Tells a second one in the same world from the first. */
    readonly name?: string;
    readonly port?: number;
    /** Where all other mail goes, for example `[127.64.0.1]:2525`. */
    readonly relayhost: string;
    /** The domain of the mailboxes; mail to it, bounces above all, goes to `sink`. */
    readonly senderDomain: string;
    readonly sink: { readonly host: string; readonly port: number };
    /** More lines of main.cf, for example `maximal_queue_lifetime`. */
    readonly settings?: Readonly<Record<string, string>>;
}

export interface PostfixService extends Service {
    /** What waits in its queue. */
    queue(): Promise<readonly QueuedMail[]>;
    /** Tries everything that is queued again, now. */
    flush(): Promise<void>;
}

/** The fields of `postqueue -j` that tests look at. */
export interface QueuedMail {
    readonly queue_name: string;
    readonly queue_id: string;
    readonly sender: string;
    readonly recipients: readonly { readonly address: string; readonly delay_reason?: string }[];
}

const execute = promisify(execFile);

/**
 * A real Postfix in the part of the submitting mailbox server: it takes mail from this machine, hands it to the relay,
 * and when the relay refuses it, writes the bounce to the author. Started again with the same options it has kept its queue.
 */
export async function startPostfix(options: PostfixOptions): Promise<PostfixService> {
    if (process.getuid?.() !== 0) throw new Error('Postfix starts as root only: run the tests as root, or in a container');
    const { host, dir, name = 'postfix', port = 2526 } = options;
    const home = join(dir, name);
    const config = join(home, 'etc');
    const log = join(home, 'postfix.log');
    await makeFolders(dir, home);
    writeFileSync(join(config, 'main.cf'), mainCf(options, home, log));
    writeFileSync(join(config, 'master.cf'), masterCf(host, port));

    const { stdout } = await execute('postconf', ['-dh', 'daemon_directory']);
    const child = startChild({
        name,
        command: join(stdout.trim(), 'master'),
        // What `postfix start-fg` does, without the shell around it, which would stay our child in master's stead.
        args: ['-c', config, '-s'],
        logFile: log
    });
    await untilReady(child, () => ask(host, port, 'QUIT\r\n', reply => /^220 [^]*^221 /m.test(reply)));
    return {
        ...serviceOf(child, host, port),
        async queue() {
            const listing = await execute('postqueue', ['-c', config, '-j']);
            const lines = listing.stdout.split('\n').filter(Boolean);
            return lines.map(line => JSON.parse(line) as QueuedMail);
        },
        async flush() {
            await execute('postqueue', ['-c', config, '-f']);
        }
    };
}

function mainCf({ host, relayhost, senderDomain, sink, settings }: PostfixOptions, home: string, log: string): string {
    const parameters: Record<string, string> = {
        compatibility_level: '3.6',
        queue_directory: join(home, 'spool'),
        data_directory: join(home, 'data'),
        maillog_file: log,
        maillog_file_prefixes: home,

        myhostname: `mail.${senderDomain}`,
        mydestination: '',
        // It wants an address that an interface lists, and lo lists 127.0.0.1 alone; master.cf names the one to listen on.
        inet_interfaces: '127.0.0.1',
        inet_protocols: 'ipv4',
        smtp_bind_address: host,
        mynetworks: '127.0.0.0/8',
        smtpd_relay_restrictions: 'permit_mynetworks, reject',
        smtpd_client_connection_count_limit: '0',

        relayhost,
        relay_domains: senderDomain,
        transport_maps: `inline:{ { ${senderDomain} = smtp:[${sink.host}]:${sink.port} } }`,
        smtp_dns_support_level: 'disabled',
        smtp_host_lookup: 'native',

        // A real server waits five minutes before it tries again; nobody watches a test that long.
        queue_run_delay: '1s',
        minimal_backoff_time: '1s',
        maximal_backoff_time: '2s',
        transport_retry_time: '1s',
        smtp_connect_timeout: '5s',
        // The bounces to authors are wanted, the reports to a postmaster that nobody is are not.
        notify_classes: '',
        alias_maps: '',
        ...settings
    };
    return `${Object.entries(parameters)
        .map(([name, value]) => `${name} = ${value}`)
        .join('\n')}\n`;
}

/** Debian's master.cf without chroot, local delivery and the transports to other software. */
function masterCf(host: string, port: number): string {
    return `${host}:${port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`;
}

/** The folders that a package's installation makes for its one instance, with the owners that Postfix checks. */
async function makeFolders(dir: string, home: string): Promise<void> {
    const [postfix, postdrop] = await Promise.all([idOf(['-u', 'postfix']), groupId('postdrop')]);
    const make = (path: string, owner: number, group: number, mode: number): void => {
        const folder = join(home, path);
        mkdirSync(folder, { recursive: true });
        chownSync(folder, owner, group);
        chmodSync(folder, mode);
    };
    for (const path of ['', 'etc', 'spool', 'spool/pid']) make(path, 0, 0, 0o755);
    make('data', postfix, 0, 0o700);
    for (const queue of ['active', 'bounce', 'corrupt', 'defer', 'deferred', 'flush', 'hold', 'incoming', 'private', 'saved', 'trace']) {
        make(`spool/${queue}`, postfix, 0, 0o700);
    }
    make('spool/maildrop', postfix, postdrop, 0o730);
    make('spool/public', postfix, postdrop, 0o710);
    // Its daemons give up root and then look for their files: the world's folder must let them through.
    chmodSync(dir, statSync(dir).mode | 0o011);
    // A killed master leaves it, and the pid in it may be somebody else's by now.
    rmSync(join(home, 'spool/pid/master.pid'), { force: true });
}

async function idOf(args: readonly string[]): Promise<number> {
    return Number((await execute('id', args)).stdout);
}

async function groupId(name: string): Promise<number> {
    return Number((await execute('getent', ['group', name])).stdout.split(':')[2]);
}
