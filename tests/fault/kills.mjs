/*
 * kills.mjs - SIGKILL at random moments, of everything: of children, of the programs that they
 * started, of whole ox-workers, and of redis-server.
 */
import { pause } from '../interop/support/wait.mjs';
import { costs, Crew } from './crew.mjs';

const queues = [[4, 'one'], [4, 'line'], [4, 'noop'], [1, 'image']];

/* Jobs evenly over the time, and what is killed when. */
function makePlan(dice, { jobs, seconds, killEveryMs }) {
    const specs = Array.from({ length: jobs }, (_, i) => (
        { id: `j${i + 1}`, at: i * seconds * 1000 / jobs, queue: dice.pick(queues) }));
    const kills = [];
    for (let at = 300; at < seconds * 1000; at += dice.int(killEveryMs / 2, killEveryMs * 3 / 2))
        kills.push({ at, place: dice.int(0, 1), ms: dice.int(0, 500),
            sort: dice.pick([[10, 'child'], [10, 'program'], [2, 'worker'], [1, 'server']]) });
    /* However short it is: some of each. */
    for (const [share, sort] of [[0.3, 'worker'], [0.6, 'server'], [0.8, 'worker']])
        kills.splice(Math.floor(kills.length * share), 0,
            { at: seconds * 1000 * share, place: 0, ms: 100, sort });
    return { specs, kills };
}

async function killAll(crew, kills, started, dice, done) {
    for (const { at, place, sort, ms } of kills) {
        await pause(Math.max(0, started + at - Date.now()));
        let hit = true;
        if (sort === 'worker') await crew.killWorker(place);
        else if (sort === 'server') await crew.crashServer(ms);
        else hit = [place, 1 - place].some((one) => (
            crew.killBelow(one, sort === 'program', dice)));
        if (hit) done[sort]++;
    }
}

/* `fsync`: always or everysec. {problems, report} */
export async function kills(fsync, { dice, size, spoil }) {
    const plan = makePlan(dice, size);
    const crew = await Crew.open({ queues: queues.map(([, name]) => name),
        server: ['--appendonly', 'yes', '--appendfsync', fsync],
        options: ['--concurrency', '2', ...size.lock ? ['--lock', size.lock] : []] });
    try {
        const done = { child: 0, program: 0, worker: 0, server: 0 };
        const started = Date.now();
        await Promise.all([crew.produce(plan.specs, started),
            killAll(crew, plan.kills, started, dice, done)]);
        await crew.settle();
        const found = await crew.check({ everysec: fsync === 'everysec', spoil });
        const problems = [...found.lost.map((job) => `lost: ${job}`), ...found.problems,
            ...await crew.stop()];
        for (const [sort, count] of Object.entries(done))
            if (count === 0) problems.push(`no ${sort} was killed`);
        if (found.recovery.length === 0) problems.push('no job was hit by a kill');
        return { problems, report: [`kills      ${done.child} children, ${done.program} programs ` +
            `of children, ${done.worker} ox-workers, ${done.server} redis-servers ` +
            `(AOF, fsync ${fsync})`, ...costs(found, crew.specs.length)] };
    } finally {
        await crew.close();
    }
}
