using System.Globalization;

namespace Caisson.Bench.Peers;

/// <summary>DBOS: a library in the worker's process, with PostgreSQL beside it. Both at their defaults, with full sync.</summary>
internal sealed class DbosPeer : IPeer
{
    private readonly PostgresServer _database;
    private readonly LineWorker _worker;

    private DbosPeer(PostgresServer database, LineWorker worker) => (_database, _worker) = (database, worker);

    public IReadOnlyList<int> Processes => [_database.Id, _worker.Id];

    internal static async Task<IPeer> StartAsync(string folder, PeerTools tools)
    {
        var database = await PostgresServer.StartAsync(folder);
        try
        {
            var start = tools.Node("dbos.mjs");
            start.Environment["DATABASE"] = database.Url;
            return new DbosPeer(database, await LineWorker.StartAsync(start));
        }
        catch
        {
            await database.DisposeAsync();
            throw;
        }
    }

    public async Task<PeerAnswer> RunAsync(int runs, int steps, int toolMs) =>
        PeerAnswer.Parse(await _worker.AskAsync(string.Create(CultureInfo.InvariantCulture, $"run {runs} {steps} {toolMs}")));

    public async ValueTask DisposeAsync()
    {
        await _worker.DisposeAsync();
        await _database.DisposeAsync();
    }
}
