using System.Text.Json;
using System.Text.Json.Serialization;
using Caisson.Cli.Commands;
using Caisson.Cli.Prices;
using Caisson.Cli.Traces;
using Caisson.Server.Diagnosis;

namespace Caisson.Cli;

/// <summary>Shapes that only the command line writes.</summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(VersionView))]
[JsonSerializable(typeof(Trace))]
[JsonSerializable(typeof(LoopReport))]
[JsonSerializable(typeof(DoctorReport))]
[JsonSerializable(typeof(PriceListView))]
[JsonSerializable(typeof(PriceImportView))]
internal sealed partial class CliJson : JsonSerializerContext;
