SELECT turn, traceparent, tracestate, crc FROM traces WHERE turn = ?
