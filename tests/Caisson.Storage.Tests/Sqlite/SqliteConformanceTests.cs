using Caisson.Storage.Tests.Conformance;

namespace Caisson.Storage.Tests.Sqlite;

public sealed class SqliteConformanceTests : RunStoreConformance
{
    protected override Task<IStoreHost> OpenAsync(TimeProvider clock) => Task.FromResult<IStoreHost>(new SqliteStoreHost(clock));
}
