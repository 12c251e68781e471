using System.Buffers;
using System.Text.Json;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Providers;

namespace Caisson.Gateway.Wires.Answers;

/// <summary>What one wire makes of the parts of an answer.</summary>
internal interface IAnswerMeter
{
    long OutputBytes { get; }

    TokenUsage? Usage { get; }

    string? Model { get; }

    /// <summary>The first thing that was wrong: an error in the answer's place.</summary>
    string? Problem { get; }

    /// <summary>Whether a stream came to the end that its wire promises.</summary>
    bool IsFinished { get; }

    /// <summary>Takes an event of a stream.</summary>
    /// <returns><c>false</c>: the client did not ask for it.</returns>
    bool Event(string name, JsonElement data);

    /// <summary><c>[DONE]</c> came.</summary>
    void Done();

    /// <summary>Takes an answer that came in one piece.</summary>
    void Document(JsonElement root);

    /// <summary>Ends a stream in the middle so that a client takes it for a short one.</summary>
    void Terminate(IBufferWriter<byte> client);
}

internal static class AnswerText
{
    /// <summary>The error that stands in an answer's place, if one does.</summary>
    public static string? ErrorIn(JsonElement root) => root.At("error") is var error && error.IsNothing() ? null : Error(error);

    /// <summary>What a provider says about its error, in one line.</summary>
    private static string Error(JsonElement error)
    {
        var text = error.Text("message") ?? error.At("error").Text("message") ?? error.Text();
        return "an error: " + ProviderText.Quote(text ?? error.GetRawText());
    }
}
