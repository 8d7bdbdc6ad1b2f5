/*
 * clock.mjs - the clock of redis-server is set back and forward, by one or two hours, while the
 * ox-workers of streams.mjs work and die: is every event stored, before the clock has caught up?
 *
 * In each round the workers die with batches in their hands just before the clock moves, and then
 * one more time under workers that live. The last move is one back: nothing that comes after it
 * brings up what died before it.
 */
import { pause, waitFor } from '../interop/support/wait.mjs';
import { Group, ROUND } from './streams.mjs';

const HOUR_MS = 3600 * 1000;
const LOG = 'bull::ox:{clicks}:log';

class ClockedGroup extends Group {
    hours = 0; /* from the clock of the machine */
    done = { back: 0, forward: 0, held: 0, worker: 0 };

    setHours(hours) {
        this.done[hours < this.hours ? 'back' : 'forward']++;
        this.server.setClock(hours * HOUR_MS);
        this.hours = hours;
    }

    /* Entries that members have. */
    pending = async () => (await this.server.client.xpending(LOG, 'g').catch(() => [0]))[0];

    async killBoth() {
        await waitFor(this.pending, 'a batch that runs');
        for (const worker of this.workers) worker.child.kill('SIGKILL');
        for (const worker of this.workers)
            await waitFor(() => worker.ended !== undefined, 'the death of ox-worker');
        this.done.held += await this.pending();
        this.done.worker += 2;
    }

    async startBoth() {
        this.workers = [await this.start(), await this.start()];
    }
}

/* {problems, report} */
export async function clock({ dice, size, spoil }) {
    const group = new ClockedGroup();
    try {
        await group.open({ clock: true });
        for (let round = 0; round < size.rounds; round++) {
            await group.publish(round);
            await group.killBoth();
            group.setHours(group.hours + (dice.int(0, 1) ? 1 : -1) * dice.int(1, 2));
            await group.startBoth();
            await pause(dice.int(50, 300));
            group.setHours(group.hours + (round % 2 ? 1 : -1) * dice.int(1, 2));
            await group.hit('child', dice);
        }
        await group.publish(size.rounds);
        await group.killBoth();
        group.setHours(group.hours - 3);
        await group.startBoth();
        const { problems, report } = await group.judge((size.rounds + 1) * ROUND, spoil);
        const { back, forward, held, worker } = group.done;
        return { problems, report: [`clock      ${back} times back, ${forward} times forward; ` +
            `${worker} ox-workers killed just before, with ${held} entries`, report] };
    } finally {
        await group.close();
    }
}
