/*
 * flowtext.h - the text of a flow, completed.
 */
#ifndef OX_CLI_FLOWTEXT_H
#define OX_CLI_FLOWTEXT_H

/* The flow `text` (valid JSON) with "queueName" put into every node that has none. What else
 * is in it stays byte for byte, but for white space between members. Heap. */
char *flow_with_queue(const char *text, const char *queue);

#endif /* OX_CLI_FLOWTEXT_H */
