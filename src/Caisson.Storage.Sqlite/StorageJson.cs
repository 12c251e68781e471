using System.Text.Json.Serialization;
using Caisson.Contracts;
using Caisson.Core.Stores;

namespace Caisson.Storage.Sqlite;

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, Converters = [typeof(WordConverter<LimitDimension>)],
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault)]
[JsonSerializable(typeof(RunSummary))]
internal sealed partial class StorageJson : JsonSerializerContext;
