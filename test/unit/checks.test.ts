/** Pool addresses that this host does not have are found before mail is sent from them. */
import { createServer } from 'node:net';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { unbindable } from '../../lib/checks/bindable';

describe('the check of the pool', () => {
    it('passes addresses of this host and names those that are not its own, with the reason', async () => {
        expect(await unbindable(['127.0.0.1', '203.0.113.1', '127.77.0.9', '2001:db8:ffff::1'])).toEqual(
            new Map([
                ['2001:db8:ffff::1', expect.stringMatching(/^EADDRNOTAVAIL|EAFNOSUPPORT$/)],
                ['203.0.113.1', 'EADDRNOTAVAIL']
            ])
        );
    });

    it('passes an address that is busy', async () => {
        const server = createServer().listen(0, '127.77.0.10');
        await once(server, 'listening');
        try {
            expect(await unbindable(['127.77.0.10'])).toEqual(new Map());
        } finally {
            server.close();
        }
    });

    it('takes a whole /22 at once', async () => {
        const pool = Array.from({ length: 1024 }, (_, n) => `127.77.${n >> 8}.${n & 255}`);
        expect(await unbindable([...pool, '203.0.113.1'])).toEqual(new Map([['203.0.113.1', 'EADDRNOTAVAIL']]));
    });
});
