# The Sidekiq side of the benchmarks: the questions that it can answer, with the options and
# answers of ox_bench.c.
#
#   ruby peer_sidekiq.rb MODE --socket PATH [--jobs N] [--warm N] [--payload BYTES]
#                        [--concurrency N]
#
# Adding is done by this program. Working is done by a real sidekiq process: the program fills
# the queue `held` and becomes `sidekiq -r peer_sidekiq.rb`, which works on `bench`; once warm
# and told to go, the one list is renamed to the other. Sidekiq takes jobs with BRPOP: what a
# worker that dies holds is lost, and nothing is kept of finished jobs.
require "json"
require "optparse"
require "sidekiq"

BENCH = if ENV["OX_BENCH_SIDEKIQ"]
  JSON.parse(ENV["OX_BENCH_SIDEKIQ"], symbolize_names: true)
else
  {jobs: 10_000, warm: 0, payload: 100, concurrency: 10}.tap do |options|
    parser = OptionParser.new
    parser.on("--socket PATH") { |v| options[:socket] = v }
    %i[jobs warm payload concurrency].each { |k| parser.on("--#{k} N", Integer) { |v| options[k] = v } }
    options[:mode] = parser.parse(ARGV).first
  end
end

# At its default level Sidekiq would write two lines a job.
Sidekiq.logger.level = Logger::WARN
# Nor is what it calls in an old manner of its Redis client news here.
Redis.silence_deprecations = true
redis = {url: "unix://#{BENCH[:socket]}"}
Sidekiq.configure_server { |config| config.redis = redis }
Sidekiq.configure_client { |config| config.redis = redis }

# What ran, in order: [number, when]. A thread of ours waits for it.
RAN = Thread::Queue.new

class BenchJob
  include Sidekiq::Worker
  sidekiq_options queue: "bench", retry: false

  def perform(data)
    RAN << [data["n"], now_s]
  end
end

def now_s = Process.clock_gettime(Process::CLOCK_MONOTONIC)

def cpu_s = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)

def data(number)
  head = %({"n":#{number},"pad":""})
  {"n" => number, "pad" => "x" * [0, BENCH[:payload] - head.size].max}
end

def add_one(queue, number)
  Sidekiq::Client.push("class" => BenchJob, "queue" => queue, "args" => [data(number)])
end

def add_many(queue, jobs)
  (0...jobs).each_slice(1000) do |numbers|
    args = numbers.map { |number| [data(number)] }
    Sidekiq::Client.push_bulk("class" => BenchJob, "queue" => queue, "args" => args)
  end
end

# Says that all is warm, waits to be told to go, and measures what the block does; the block
# says whether the run was exact, and what else is to be answered.
def measure
  puts "ready"
  $stdout.flush
  $stdin.gets
  cpu = cpu_s
  start = now_s
  finished, more = yield
  seconds = finished - start
  answer = {
    jobs: BENCH[:jobs], seconds: seconds, per_s: BENCH[:jobs] / seconds, cpu_s: cpu_s - cpu,
    rss_kb: File.read("/proc/self/status")[/VmHWM:\s+(\d+)/, 1].to_i, exact: true
  }
  puts JSON.generate(answer.merge(more.call))
  $stdout.flush
end

# ---- in the sidekiq process ---------------------------------------------------------------

def each_once?(runs, jobs)
  runs.map(&:first).sort == (0...jobs).to_a
end

# A pop for each job would take the interpreter from the workers each time.
def wait_for(jobs)
  sleep 0.005 until RAN.size >= jobs
  Array.new(jobs) { RAN.pop }
end

def work_process
  add_many("bench", BENCH[:warm])
  wait_for(BENCH[:warm])
  measure do
    Sidekiq.redis { |conn| conn.rename("queue:held", "queue:bench") }
    runs = wait_for(BENCH[:jobs])
    [runs.map(&:last).max, -> { {exact: each_once?(runs, BENCH[:jobs]) && RAN.empty?} }]
  end
end

# Adds the next job when the last one was seen and the worker has gone to sleep again.
def latencies(jobs)
  Array.new(jobs) do |number|
    sleep 0.005
    added = now_s
    add_one("bench", number)
    ran, at = RAN.pop
    [ran, (at - added) * 1000]
  end
end

def work_latency
  latencies(BENCH[:warm])
  measure do
    runs = latencies(BENCH[:jobs])
    sorted = runs.map(&:last).sort
    at = ->(p) { sorted[(p * (sorted.size - 1)).round] }
    [now_s, -> {
      {p50_ms: at[0.5], p99_ms: at[0.99], max_ms: at[1], exact: each_once?(runs, BENCH[:jobs]) && RAN.empty?}
    }]
  end
end

# ---- in the program itself ----------------------------------------------------------------

def add_and_measure
  yield "warm", BENCH[:warm]
  measure do
    yield "bench", BENCH[:jobs]
    [now_s, -> { {} }]
  end
end

def become_sidekiq
  add_many("held", BENCH[:jobs]) if BENCH[:mode] == "process"
  ENV["OX_BENCH_SIDEKIQ"] = JSON.generate(BENCH)
  exec("sidekiq", "-r", __FILE__, "-q", "bench", "-c", BENCH[:concurrency].to_s, "-e", "production")
end

if Sidekiq.server?
  Sidekiq.configure_server do |config|
    config.on(:startup) do
      Thread.new do
        BENCH[:mode] == "process" ? work_process : work_latency
        exit!(0)
      rescue => e
        warn "peer_sidekiq: #{e.message}"
        exit!(1)
      end
    end
  end
else
  case BENCH[:socket] && BENCH[:mode]
  when "single" then add_and_measure { |queue, jobs| jobs.times { |n| add_one(queue, n) } }
  when "bulk" then add_and_measure { |queue, jobs| add_many(queue, jobs) }
  when "process", "latency" then become_sidekiq
  else
    warn "peer_sidekiq: one mode of single, bulk, process, latency, and --socket"
    exit 2
  end
end
