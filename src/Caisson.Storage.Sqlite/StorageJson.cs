using System.Text.Json.Serialization;
using Caisson.Core.Stores;

namespace Caisson.Storage.Sqlite;

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, UseStringEnumConverter = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault)]
[JsonSerializable(typeof(RunSummary))]
internal sealed partial class StorageJson : JsonSerializerContext;
